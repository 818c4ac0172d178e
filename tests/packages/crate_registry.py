"""A registry of crates on loopback, by cargo's sparse protocol."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

from tests.packages.conftest import Server

CRATES_INDEX = "registry+https://github.com/rust-lang/crates.io-index"
"""How each Cargo.lock names the registry that cargo uses by itself."""


class CrateRegistry:
    """A registry; `locked` is what a Cargo.lock says of its crates."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.locked: list[str] = []
        server.files["/index/config.json"] = json.dumps({"dl": f"{server.address}/crates"}).encode()

    def add(self, name: str, version: str, files: dict[str, bytes], needs: tuple[str, ...] = ()) -> str:
        """Put a crate into it; return its sha256."""
        content = crate(name, version, files)
        digest = hashlib.sha256(content).hexdigest()
        self._server.files[f"/crates/{name}/{version}/download"] = content
        entry = (
            f'[[package]]\nname = "{name}"\nversion = "{version}"\nsource = "{CRATES_INDEX}"\nchecksum = "{digest}"\n'
        )
        if needs:
            entry += f"dependencies = {json.dumps(list(needs))}\n"
        self.locked.append(entry)
        return digest

    def add_folder(self, name: str, version: str, folder: Path) -> str:
        """Put the crate into it whose files lie in a folder, as Debian's packages of crates have them."""
        files = {
            str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
        }
        files.pop(".cargo-checksum.json", None)
        return self.add(name, version, files)

    def lock(self, project: str, needs: tuple[str, ...]) -> str:
        """Return the Cargo.lock of a project that needs crates."""
        own = f'[[package]]\nname = "{project}"\nversion = "0.1.0"\ndependencies = {json.dumps(list(needs))}\n'
        return "version = 3\n\n" + "\n".join(sorted([*self.locked, own]))

    def settings(self) -> str:
        """Return the settings that have cargo use it in place of its own."""
        index = f"sparse+{self._server.address}/index/"
        return f'[source.crates-io]\nreplace-with = "mine"\n[source.mine]\nregistry = "{index}"\n'


def crate(name: str, version: str, files: dict[str, bytes]) -> bytes:
    """Return the archive of a crate."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for path, content in files.items():
            info = tarfile.TarInfo(f"{name}-{version}/{path}")
            info.size, info.mode, info.mtime = len(content), 0o644, 1153704088
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()
