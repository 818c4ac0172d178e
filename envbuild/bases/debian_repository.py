"""A repository of just the packages that a base is made of, for mmdebstrap (wiki.debian.org/DebianRepository)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from email.utils import formatdate

from envbuild.debian.deb import control_of
from envbuild.debian.names import DebianOrigin
from envbuild.digest import Sha256
from envbuild.lockfile.lock import BasePackages, Package


def write_repository(folder: str, suite: str, packages: BasePackages, paths: Mapping[str, str], epoch: int) -> None:
    """Fill an empty folder with packages, whose files are at the `paths` of their hashes, and with their index.

    mmdebstrap takes those of the suite that are essential or required, and what they depend on. Which of them nobody
    asked for apt keeps on record, and so it must be the same ones again. Raises BadArchive.
    """
    stanzas = []
    for priority, group in (("required", packages.asked), ("optional", packages.pulled)):
        for package in group:
            name, path = DebianOrigin(package.origin).file, paths[package.hash]
            shutil.copyfile(path, f"{folder}/{name}")
            os.chmod(f"{folder}/{name}", 0o644)
            stanzas.append(_stanza(package, name, path, priority))
    index = "\n".join(stanzas).encode("utf-8", "surrogateescape")
    _write(f"{folder}/Packages", index)
    release = {
        "Origin": "Debian",
        "Suite": suite,
        "Codename": suite,
        "Date": formatdate(epoch, usegmt=True).replace("GMT", "UTC"),
        "SHA256": f"\n {Sha256(index).hexdigest()} {len(index)} Packages",
    }
    _write(f"{folder}/Release", "".join(f"{name}: {value}\n" for name, value in release.items()).encode())


def _stanza(package: Package, name: str, path: str, priority: str) -> str:
    """Return what the index says of a package: its own control data, but for the archive's part of it."""
    lines = control_of(path).rstrip("\n").split("\n")
    kept = "\n".join(line for line in lines if not line.lower().startswith("priority:"))
    algorithm, _, digest = package.hash.partition(":")
    size = os.stat(path).st_size
    return f"{kept}\nPriority: {priority}\nFilename: ./{name}\nSize: {size}\n{algorithm.upper()}: {digest}\n"


def _write(path: str, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)
    os.chmod(path, 0o644)
