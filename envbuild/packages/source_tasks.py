"""What apt and dpkg-source are run for to get Debian source packages: both are the tree's own.

The resolution asks the signed indexes of sources, as `apt-get source` does. The installation unpacks with `dpkg-source`
and without network: it knows the formats and applies a package's patches.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from envbuild.debian.deb822 import stanzas
from envbuild.debian.names import DebianVersion, SourceOrigin, SourcePart
from envbuild.lockfile.lock import Package
from envbuild.packages import apt_tasks
from envbuild.packages.apt_tasks import CONFIGURATION, ENVIRONMENT, EXTRA_SOURCE
from envbuild.packages.errors import NoManager, Unresolved
from envbuild.packages.manager import OUT, PACKAGES, Task
from envbuild.plan.step import InstallPackages

NO_DPKG_SOURCE = 67
_RESOLVE = f"""\
set -eu
command -v apt-get > /dev/null || exit {apt_tasks.NO_APT}
command -v dpkg-source > /dev/null || exit {NO_DPKG_SOURCE}
mkdir -p $OUT/lists/partial
if [ ! -e $OUT/updated ]; then
    apt-get -c $CONFIGURATION update -qq
    : > $OUT/updated
fi
apt-get -c $CONFIGURATION source --print-uris -q -- "$@" > $OUT/uris
apt-cache -c $CONFIGURATION showsrc -- $NAMES > $OUT/records
"""
_INSTALL = """\
set -eu
umask 022
while [ $# -gt 0 ]; do
    mkdir -p "$(dirname "$2")"
    dpkg-source --no-check --no-copy --no-overwrite-dir -x "$PACKAGES/$1" "$2"
    shift 2
done
"""
_INDEXES = """\
Acquire::IndexTargets::deb-src::Sources::DefaultEnabled "true";
Acquire::IndexTargets::deb::Packages::DefaultEnabled "false";
"""
_URI = re.compile(r"'(?P<uri>[^']+)' (?P<file>\S+) \d+ SHA256:(?P<hash>[0-9a-f]{64})")
_PART = re.compile(r"\.(?P<part>(?:orig(?:-[A-Za-z0-9-]+)?\.tar|debian\.tar|diff|tar)\.[a-z0-9]+(?:\.asc)?)")
_DSC = ".dsc"


def resolve_task(action: InstallPackages, pinned: Iterable[Package], source: bytes, key: bytes) -> Task:
    """Return what asks the tree's apt which source packages a statement means; those that are `pinned` stay at their
    version. `source` is the text of the statement's own source (deb822), and `key` that source's key."""
    versions = {package.name: package.version for package in pinned if ":" not in package.name}
    words = [f"{name}={versions[name]}" if name in versions and "=" not in name else name for name in action.wanted]
    own = f'Dir::State::Lists "{OUT}/lists";\n{_INDEXES}'
    configuration = apt_tasks.configuration_of(action, own)
    files = [(CONFIGURATION, configuration)]
    files += [(EXTRA_SOURCE, source)] if source else []
    files += [(apt_tasks.key_path(key), key)] if key else []
    names = " ".join(sorted({word.partition("=")[0] for word in action.wanted}))
    environment = (*ENVIRONMENT, ("CONFIGURATION", CONFIGURATION), ("OUT", OUT), ("NAMES", names))
    return Task(("/bin/sh", "-c", _RESOLVE, "sh", *words), environment, tuple(files))


def refuse(status: int, output: str) -> None:
    """Raise what a resolution that ended with `status` means."""
    if status == NO_DPKG_SOURCE:
        raise NoManager("apt", "dpkg-source", "it unpacks source packages; install it before, as in: apt dpkg-dev")
    apt_tasks.refuse(status, output)


def read_answer(uris: str, records: str, sites: Sequence[str]) -> list[tuple[Package, str]]:
    """Return the files of source packages that a resolution named, each with its address. Raises UnsafeName and
    Unresolved."""
    named = [match for line in uris.splitlines() if (match := _URI.match(line))]
    known = {}
    for stanza in stanzas(records):
        for line in stanza.get("checksums-sha256", "").splitlines():
            digest, _, _ = line.partition(" ")
            known[digest] = stanza.get("package", ""), stanza.get("version", "")
    answer = []
    for match in named:
        name, version = known.get(match["hash"], ("", ""))
        if not name:
            raise Unresolved("apt", f"the index of sources has no SHA256 for {match['file'][:100]}")
        part = _PART.search(match["file"])
        if part is None and not match["file"].endswith(_DSC):
            raise Unresolved("apt", f"{match['file'][:100]} is not a file of a source package")
        called = SourcePart(f"{name}:{part['part']}" if part is not None else name)
        origin = SourceOrigin(apt_tasks.origin_of(match["uri"], sites))
        answer.append((Package(called, DebianVersion(version), f"sha256:{match['hash']}", origin), match["uri"]))
    return sorted(dict(answer).items(), key=lambda pair: pair[0].name)


def install_task(action: InstallPackages, packages: Sequence[tuple[Package, str]]) -> Task:
    """Return what unpacks source packages, whose files are given with their paths."""
    destination = action.option("into") or "/"
    words = []
    for package, _ in packages:
        file = SourceOrigin(package.origin).file
        if file.endswith(_DSC):
            upstream = package.version.partition(":")[2] or package.version
            upstream = upstream.rpartition("-")[0] or upstream
            below = f"{destination}{package.name}-{upstream}"
            words += [file, below if destination.endswith("/") else destination]
    mounts = tuple(dict.fromkeys((SourceOrigin(package.origin).file, path) for package, path in packages))
    return Task(("/bin/sh", "-c", _INSTALL, "sh", *words), (*ENVIRONMENT, ("PACKAGES", PACKAGES)), (), mounts)
