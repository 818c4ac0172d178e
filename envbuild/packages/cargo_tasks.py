"""How crates are laid out: as `cargo vendor` does, a folder for each beside the settings that make cargo use them.

The files of a crate are hashed here, from its archive; the sandbox only unpacks, with the tree's own tar.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import zlib
from collections.abc import Sequence
from posixpath import normpath

from envbuild.errors import WorkFailed, fields
from envbuild.linux.nofollow import Component
from envbuild.lockfile.lock import Package
from envbuild.packages.crate_names import CRATES
from envbuild.packages.locked_modules import layout_task
from envbuild.packages.manager import FOLDER, PACKAGES, Task
from envbuild.plan.step import InstallPackages

MAX_UNPACKED = 512 << 20
VENDOR = "vendor"
SETTINGS = ".cargo/config.toml"
_FILES = f"{FOLDER}/files"
_ORDER = f"{FOLDER}/order"
_LEFT_OUT = (".gitattributes", ".gitignore", ".cargo-ok")
"""What `cargo vendor` leaves out of a crate (cargo's source, ops/vendor.rs)."""
_INSTALL = f"""\
set -eu
umask 022
cd "$INTO" 2> /dev/null || {{ mkdir -p "$INTO"; cd "$INTO"; }}
mkdir -p {VENDOR} .cargo
while read -r folder; do
    rm -rf "{VENDOR}/$folder"
    tar -xzof "{PACKAGES}/$folder.crate" -C {VENDOR}
    chmod -R u+rwX,go=rX "{VENDOR}/$folder"
    rm -f {" ".join(f'"{VENDOR}/$folder/{name}"' for name in _LEFT_OUT)}
    cat "{_FILES}/$folder.json" > "{VENDOR}/$folder/.cargo-checksum.json"
    touch -r "{VENDOR}/$folder/Cargo.toml" "{VENDOR}/$folder/.cargo-checksum.json"
done < {_ORDER}
cat {_FILES}/config.toml > {SETTINGS}
"""


@fields
class BadCrate(WorkFailed):
    """A crate's archive has something that no crate has."""

    crate: str
    reason: str

    def text(self) -> tuple[str, str]:
        return f"the archive of {self.crate} is not that of a crate: {self.reason}", "nothing of it was unpacked"


def install_task(action: InstallPackages, packages: Sequence[tuple[Package, str]]) -> Task:
    """Return what unpacks crates, which are given with the paths of their archives. Raises BadCrate."""
    mounted, files, order = [], [], []
    for package, path in packages:
        folder = package.name.replace("@", "-")
        record = {"files": _hashes(folder, path), "package": package.hash.partition(":")[2]}
        mounted.append((Component(f"{folder}.crate"), path))
        files.append((f"{_FILES}/{folder}.json", json.dumps(record, separators=(",", ":")).encode()))
        order.append(f"{folder}\n")
    files.append((_ORDER, "".join(order).encode()))
    files.append((f"{_FILES}/config.toml", _settings([package for package, _ in packages])))
    return layout_task(action, _INSTALL, tuple(files), mounted)


def _settings(packages: Sequence[Package]) -> bytes:
    """Return the settings of cargo that have it take each registry's crates from the folder."""
    lines = []
    for registry in dict.fromkeys([CRATES, *sorted(package.origin for package in packages)]):
        name = registry if registry == CRATES else json.dumps(registry)
        lines.append(f"[source.{name}]\n")
        if registry != CRATES:
            lines.append(f"registry = {json.dumps(registry)}\n")
        lines.append('replace-with = "vendored-sources"\n\n')
    lines.append(f'[source.vendored-sources]\ndirectory = "{VENDOR}"\n')
    return "".join(lines).encode()


def _hashes(folder: str, path: str) -> dict[str, str]:
    """Return the sha256 of each file of a crate, by its path there; all of it lies in `folder`. Raises BadCrate."""
    hashes: dict[str, str] = {}
    left = MAX_UNPACKED
    try:
        with gzip.open(path) as stream:
            data = stream.read(left + 1)
        if len(data) > left:
            raise BadCrate(folder, f"it has more than {left:,} bytes")
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for member in archive:
                name = member.name.rstrip("/")
                inside = name.removeprefix(f"{folder}/")
                if name != normpath(name) or not (name == folder or (inside != name and inside)):
                    raise BadCrate(folder, f"{name[:100]!r} lies outside of {folder}")
                if member.isdir():
                    continue
                if not member.isreg() or member.issparse():
                    raise BadCrate(folder, f"{name[:100]!r} is not a plain file")
                file = archive.extractfile(member)
                content = file.read() if file is not None else b""
                if inside not in _LEFT_OUT:
                    hashes[inside] = hashlib.sha256(content).hexdigest()
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise BadCrate(folder, str(error)) from error
    if "Cargo.toml" not in hashes:
        raise BadCrate(folder, "it has no Cargo.toml")
    return dict(sorted(hashes.items()))
