"""What apt is run for: to say which Debian packages a statement means, and to install them from files alone.

Both phases run the tree's own apt. The resolution mounts this machine's sources and is thrown away. The installation
sees one source, a folder of exactly the locked packages, so that its choice can only be theirs; it needs no network
and no keys, since each file was checked against the hash that the signed index gave.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from urllib.parse import unquote

from envbuild.debian.deb import index_of
from envbuild.debian.left_behind import LOG_FOLDER, MACHINE_ID, removed_after_installation
from envbuild.debian.names import DebianFile, DebianName, DebianOrigin, DebianVersion
from envbuild.lockfile.checked_name import UnsafeName
from envbuild.lockfile.lock import Package
from envbuild.packages.errors import NoManager, Unresolved
from envbuild.packages.manager import FOLDER, INSTALLED, OUT, PACKAGES, Task
from envbuild.plan.step import InstallPackages
from envbuild.record import Pairs, Record

CONFIGURATION = f"{FOLDER}/apt.conf"
LISTS = f"{FOLDER}/lists"
PREFERENCES = "/etc/apt/preferences.d/00-envbuild-lock.pref"
EXTRA_SOURCE = "/etc/apt/sources.list.d/envbuild-recipe.sources"
KEPT = f"{FOLDER}/kept"
"""Where a resolution finds the index of locked packages that no source has any more."""
KEPT_SOURCE = "/etc/apt/sources.list.d/envbuild-kept.list"
EXTRA_KEY = f"{FOLDER}/recipe-source"
POLICY = "/usr/sbin/policy-rc.d"
PIN_PRIORITY = 995
"""Above all that sources have by themselves (990 at most), below what would install an older version (1001);
apt_preferences(5)."""
EXACT_PRIORITY = 1001
"""Installs a version also over a newer one."""
_LOCAL_PREFERENCES = f"{FOLDER}/apt.pref"

ENVIRONMENT = (
    ("DEBIAN_FRONTEND", "noninteractive"),
    ("DEBCONF_NONINTERACTIVE_SEEN", "true"),
    ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    ("LC_ALL", "C.UTF-8"),
    ("FORCE_SOURCE_DATE", "1"),
    ("PYTHONHASHSEED", "0"),
)

NO_APT = 66
_RESOLVE = f"""\
set -eu
command -v apt-get > /dev/null && command -v dpkg > /dev/null || exit {NO_APT}
"""
_RESOLVE += """\
for architecture in $ARCHITECTURES; do dpkg --add-architecture "$architecture"; done
mkdir -p $OUT/lists/partial /tmp/apt
if [ ! -e $OUT/updated ] || [ -n "$KEPT" ]; then
    apt-get -c $CONFIGURATION update -qq
    : > $OUT/updated
fi
dpkg --print-architecture > $OUT/architecture
for name in $NAMES; do
    dpkg-query -W -f '${db:Status-Status} ${binary:Package} ${Version}\n' "$name" 2> /dev/null || :
done | sed -n 's/^installed //p' | sort -u > $OUT/installed
mkdir -p /etc/apt/preferences.d
while read -r name version; do
    name=${name%%:*}
    case " $HELD " in
        *" $name "*) printf 'Package: %s\nPin: version %s\nPin-Priority: $PRIORITY\n\n' "$name" "$version" ;;
    esac
done < $OUT/installed > /etc/apt/preferences.d/01-envbuild-tree.pref
if ! apt-get -c $CONFIGURATION install --print-uris -q -- "$@" > $OUT/uris; then
    # apt prints among other things which packages stand in whose way.
    sed -n '/unmet dependencies/,$p' $OUT/uris
    exit 1
fi
: > $OUT/present
if [ -s $OUT/installed ]; then
    have=$(sed 's/ /=/' $OUT/installed)
    if ! apt-get -c $CONFIGURATION download --print-uris -q $have > $OUT/present 2> /dev/null; then
        for package in $have; do
            apt-get -c $CONFIGURATION download --print-uris -q "$package" 2> /dev/null || :
        done > $OUT/present
    fi
fi
: > $OUT/stanzas
if [ "$EXPLAIN" = yes ] && [ -s $OUT/uris ]; then
    sed -n "s/^'[^']*' \\([^_ ]*\\)_\\([^_ ]*\\)_\\([^_. ]*\\)\\.deb .*/\\1:\\3=\\2/p" $OUT/uris |
        sed 's/:all=/=/; s/%3a/:/g' | xargs apt-cache -c $CONFIGURATION show > $OUT/stanzas 2> /dev/null || :
fi
""".replace("$PRIORITY", str(PIN_PRIORITY))

_INSTALL = """\
set -eu
for architecture in $ARCHITECTURES; do dpkg --add-architecture "$architecture"; done
mkdir -p /tmp/apt-log /tmp/lists/partial
cp $LISTS/* /tmp/lists/
if [ ! -e /usr/bin/apt-extracttemplates ] &&
    [ "$(grep -ihs Pre-Install-Pkgs /etc/apt/apt.conf /etc/apt/apt.conf.d/*)" = \
        'DPkg::Pre-Install-Pkgs {"/usr/sbin/dpkg-preconfigure --apt || true";};' ]; then
    # It would take 0.1 s to say that it can't do anything without apt-utils.
    { cat $CONFIGURATION; echo '#clear DPkg::Pre-Install-Pkgs;'; } > /tmp/apt.conf
    CONFIGURATION=/tmp/apt.conf
fi
: > /tmp/begun
apt-get -c $CONFIGURATION install -qq -- "$@" || {
    code=$?
    # So quiet, apt does not say which packages stand in whose way: it is asked again if it had begun nothing.
    if [ ! /var/lib/dpkg/status -nt /tmp/begun ]; then
        apt-get -c $CONFIGURATION install --simulate -q -- "$@" 2> /dev/null | sed -n '/unmet dependencies/,$p' >&2
    fi
    exit $code
}
"""
CLEAN_SCRIPT = f"""\
rm -f {" ".join(removed_after_installation())}
find /{LOG_FOLDER} -type f -size +0 -newer /tmp/begun -exec sh -c 'for file; do : > "$file"; done' sh {{}} +
if [ -s /{MACHINE_ID} ]; then : > /{MACHINE_ID}; fi
"""
"""Removes what an installation leaves behind; logs are emptied that are later than /tmp/begun."""
_INSTALL += CLEAN_SCRIPT

_CONFIGURATION = """\
APT::Get::Assume-Yes "true";
APT::Get::allow-downgrades "true";
APT::Install-Recommends "%(recommends)s";
APT::Install-Suggests "false";
APT::Sandbox::User "root";
APT::Update::Error-Mode "any";
APT::Update::Post-Invoke "";
APT::Update::Post-Invoke-Success "";
Acquire::Languages "none";
Acquire::PDiffs "false";
Acquire::ForceHash "SHA256";
Acquire::IndexTargets::deb-src::Sources::DefaultEnabled "false";
Dir::Cache "/tmp/apt";
Dir::Cache::archives "/tmp/apt/archives";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Dir::Log "/tmp/apt-log";
Dpkg::Use-Pty "false";
DPkg::Options { "--force-unsafe-io"; "--force-confdef"; "--force-confold"; "--log=/dev/null"; };
"""

_KEEP_INDEX = 'Dir::Cache::pkgcache "pkgcache.bin";\n'
"""Has what apt makes of its sources' 60,000 packages stay for the next of a phase's commands: each needs a second to
make it. It lies in /tmp, where no other phase finds it."""

START = f"{FOLDER}/start.conf"
_START = """\
Dir::Etc::Main "%(settings)s";
Dir::Etc::Parts "/dev/null";
Dir::Etc::SourceList "%(sources)s";
Dir::Etc::SourceParts "/dev/null";
"""

_URI = re.compile(r"'(?P<uri>[^']+)' (?P<file>\S+) (?P<size>\d+) ?(?P<hash>SHA256:[0-9a-f]{64})?")
_UNMET = re.compile(r"^ +(\S+) : \S+: (\S+)", re.MULTILINE)
_IN_THE_WAY = re.compile(r"^ +(?:(?P<by>\S+) : )?[A-Z][A-Za-z-]+: (?P<name>\S+)")
_NEEDS = re.compile(
    r"^ +(?:(?P<by>\S+) : )?(?:Pre-?)?Depends: (?P<name>\S+)(?: \((?:= (?P<version>\S+)|[^)]*)\))?(?: but .*)?$"
)


class Held(Record):
    """What keeps its version in a resolution: locked packages (`pins`), packages of the tree by name (`in_tree`), and
    packages by the `exact` versions that others need by name. `index` describes locked packages that no source has any
    more."""

    pins: tuple[Package, ...] = ()
    in_tree: frozenset[str] = frozenset()
    exact: Mapping[str, str] = {}
    index: bytes = b""

    @property
    def names(self) -> set[str]:
        """The names of all that could be let go."""
        return {*self.in_tree, *(package.name.partition(":")[0] for package in self.pins)}

    def without(self, names: set[str]) -> Held:
        """Return the same, but for these packages."""
        kept = tuple(package for package in self.pins if package.name.partition(":")[0] not in names)
        return self.replace(pins=kept, in_tree=self.in_tree - names)


def resolve_task(action: InstallPackages, held: Held, source: bytes, key: bytes, *, explain: bool = False) -> Task:
    """Return what asks the tree's apt what a statement means, with what is `held`. `source` is the text of the
    statement's own source (deb822), and `key` that source's key. With `explain` the answer has control data, too."""
    files = [(CONFIGURATION, configuration_of(action, f'Dir::State::Lists "{OUT}/lists";\n{_KEEP_INDEX}'))]
    stanzas = [_pin(name, version, EXACT_PRIORITY) for name, version in sorted(held.exact.items())]
    stanzas += [
        _pin(name, DebianVersion(pin.version), PIN_PRIORITY)
        for pin in held.pins
        if (name := DebianName(pin.name).without_architecture) not in held.exact
    ]
    if stanzas:
        files.append((PREFERENCES, "\n".join(stanzas).encode()))
    if source:
        files.append((EXTRA_SOURCE, source))
    if key:
        files.append((key_path(key), key))
    if held.index:
        files.append((KEPT_SOURCE, f"deb [trusted=yes] file:{KEPT} ./\n".encode()))
        files.append((f"{KEPT}/Packages", held.index))
    environment = (
        *_environment(action),
        ("NAMES", " ".join(sorted(asked_names(action)))),
        ("HELD", " ".join(sorted(held.in_tree))),
        ("KEPT", "yes" if held.index else ""),
        ("EXPLAIN", "yes" if explain else ""),
    )
    return Task(("/bin/sh", "-c", _RESOLVE, "sh", *action.wanted), environment, tuple(files))


def asked_names(action: InstallPackages) -> set[str]:
    """Return the names that a statement has without a version, with their architectures."""
    return {word for word in action.wanted if "=" not in word and not word.startswith("-")}


def _pin(name: str, version: str, priority: int) -> str:
    return f"Package: {name}\nPin: version {version}\nPin-Priority: {priority}\n"


def with_own_sources(task: Task, settings: str, sources: str) -> Task:
    """Return the same resolution, for which apt reads these two files of the machine (where they are mounted) and no
    others (apt.conf(5), Dir::Etc; $APT_CONFIG is read before them)."""
    start = _START % {"settings": settings, "sources": sources}
    return task.with_own_sources((("APT_CONFIG", START),), ((START, start.encode()),))


def key_path(key: bytes) -> str:
    """Return where a source's key is mounted: apt tells its two forms by the suffix (sources.list(5), Signed-By)."""
    return EXTRA_KEY + (".asc" if key.lstrip().startswith(b"-----BEGIN") else ".gpg")


def read_answer(uris: str, native: str, sites: Sequence[str]) -> tuple[tuple[Package, str], ...]:
    """Return the packages that a resolution named, each with its address. `native` is the tree's architecture, `sites`
    are the addresses that sources begin with. Raises UnsafeName and Unresolved."""
    packages = []
    for line in uris.splitlines():
        match = _URI.match(line)
        if match is None:
            continue
        fields = unquote(match["file"].removesuffix(".deb")).split("_")
        if len(fields) != 3:
            raise UnsafeName("the file name of a Debian package", match["file"])
        name, version, architecture = fields
        if architecture not in (native, "all"):
            name = f"{name}:{architecture}"
        name, version = DebianName(name), DebianVersion(version)
        if match["hash"] is None:
            raise Unresolved("apt", f"the index gives no SHA256 for {name} {version}")
        digest = "sha256:" + match["hash"].partition(":")[2]
        packages.append((Package(name, version, digest, DebianOrigin(origin_of(match["uri"], sites))), match["uri"]))
    return tuple(sorted(packages, key=lambda pair: pair[0].name))


def read_installed(text: str, native: str) -> dict[str, str]:
    """Return the versions of what is installed of the packages that a statement asks for, by their names in a lock."""
    versions: dict[str, str] = {}
    for line in text.splitlines():
        name, _, version = line.partition(" ")
        plain, _, architecture = DebianName(name).partition(":")
        versions[plain if architecture in ("", native, "all") else name] = DebianVersion(version)
    return versions


def refuse(status: int, output: str) -> None:
    """Raise what a resolution that ended with `status` means."""
    if status == NO_APT:
        raise NoManager("apt", "apt-get", "start from a base that has it, as in: from debian:bookworm")
    raise Unresolved("apt", reason(output))


def to_unpin(output: str) -> set[str]:
    """Return the packages that apt names as standing in each other's way."""
    names: set[str] = set()
    by = ""
    for line in output.splitlines():
        match = _IN_THE_WAY.match(line)
        if match is None:
            continue
        by = match["by"] or by
        names |= {by.partition(":")[0], match["name"].partition(":")[0]}
    return names


def needed_exactly(output: str, requiring: Container[str]) -> dict[str, str]:
    """Return the versions that apt names as the only ones that the packages in `requiring` go with, by package: apt
    itself considers only the newest one of what nobody named. Raises UnsafeName."""
    needed: dict[str, str] = {}
    name = ""
    for line in output.splitlines():
        match = _NEEDS.match(line)
        if match is None:
            continue
        # apt names a package once and lists all that it lacks.
        name = match["by"] or name
        if name.partition(":")[0] in requiring and match["version"]:
            needed[DebianName(match["name"]).without_architecture] = DebianVersion(match["version"])
    return needed


def with_versions(words: Iterable[str]) -> set[str]:
    """Return the names of packages that a statement wants in a version."""
    return {word.partition("=")[0].partition(":")[0] for word in words if "=" in word}


def reason(output: str) -> str:
    """Return apt's own words about a failure, without those about its progress."""
    lines = [line for line in output.splitlines() if line.startswith(("E:", "W:")) or _UNMET.match(line)]
    return "\n".join(lines) if any(line.startswith(("E:", " ")) for line in lines) else output


def install_task(action: InstallPackages, packages: Sequence[tuple[Package, str]]) -> Task:
    """Return what installs from files. `packages` are the locked ones with the paths of their files."""
    packages = [(package, path) for package, path in packages if not package.origin.startswith(INSTALLED)]
    source = f"deb [trusted=yes] file:{PACKAGES} ./\n"
    # The index stands where `apt-get update` would have put it, so that nothing has to be updated.
    stem = f"{LISTS}/{PACKAGES.replace('/', '_')}_._"
    own = f'Dir::Etc::SourceList "{FOLDER}/sources.list";\nDir::Etc::SourceParts "/dev/null";\n'
    own += 'Dir::State::Lists "/tmp/lists";\nDir::Etc::PreferencesParts "/dev/null";\nAcquire::http::Proxy "";\n'
    own += f'Dir::Etc::Preferences "{_LOCAL_PREFERENCES}";\n'
    files = (
        (CONFIGURATION, configuration_of(action, own)),
        (f"{FOLDER}/sources.list", source.encode()),
        # What is locked is installed, also where the tree has a newer version.
        (_LOCAL_PREFERENCES, f'Package: *\nPin: origin ""\nPin-Priority: {EXACT_PRIORITY}\n'.encode()),
        (f"{stem}Packages", index_of(packages)),
        (POLICY, b"#!/bin/sh\n# Nothing is started while an image is built.\nexit 101\n"),
    )
    mounts = tuple((file_name(package), path) for package, path in packages)
    argv = ("/bin/sh", "-c", _INSTALL, "sh", *action.wanted)
    return Task(argv, _environment(action), files, mounts, (POLICY,))


def file_name(package: Package) -> DebianFile:
    """Return the name of a package's file in the folder that is mounted. Raises UnsafeName."""
    return DebianFile(DebianOrigin(package.origin).file)


def _environment(action: InstallPackages) -> Pairs:
    foreign = {word.partition("=")[0].partition(":")[2] for word in action.wanted} - {"", "any", "all", "native"}
    return (
        *ENVIRONMENT,
        ("ARCHITECTURES", " ".join(sorted(foreign))),
        ("CONFIGURATION", CONFIGURATION),
        ("LISTS", LISTS),
        ("OUT", OUT),
    )


def configuration_of(action: InstallPackages, own: str) -> bytes:
    """Return apt's configuration for a statement, with what of it is the phase's own."""
    recommends = "true" if ("recommends", "") in action.options else "false"
    return (_CONFIGURATION % {"recommends": recommends} + own).encode()


def origin_of(uri: str, sites: Sequence[str]) -> str:
    """Return where a file lies below its source: the last part of the source's own path, and the path below
    it."""
    above = [site.rstrip("/") for site in sites if uri.startswith(site.rstrip("/") + "/")]
    site = max(above, key=len, default=uri.split("/pool/")[0])
    below = [part for part in unquote(uri.removeprefix(site)).split("/") if part not in ("", ".")]
    return "/".join((unquote(site.rpartition("/")[2]), *below))
