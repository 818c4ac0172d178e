"""A Debian repository of packages made by hand, which its source line trusts without a key."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.packages.conftest import Server


class Repository:
    """A repository on a loopback server. `packages` are (name, version) with what they depend on."""

    def __init__(self, server: Server, folder: Path, name: str = "own", suite: str = "stable") -> None:
        self._server = server
        self._root = f"/{name}"
        self._suite = suite
        self._folder = folder
        self._stanzas: list[str] = []
        self.source = f"deb [trusted=yes] {server.address}/{name} {suite} main"

    def add(
        self,
        name: str,
        version: str,
        depends: str = "",
        *,
        files: Mapping[str, str] | None = None,
        private: tuple[str, ...] = (),
    ) -> None:
        """Puts a package into the repository whose file /usr/share/NAME/text has its version, and which has `files`
        beside it (scripts in DEBIAN/). Only root may enter the directories `private`."""
        root = self._folder / f"{name}_{version}"
        (root / "DEBIAN").mkdir(parents=True)
        for path, text in {f"usr/share/{name}/text": f"{version}\n", **(files or {})}.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
        control = f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: A <a@b.test>\n"
        control += (f"Depends: {depends}\n" if depends else "") + f"Description: {name}\n"
        (root / "DEBIAN/control").write_text(control)
        for path in (root, *root.rglob("*")):
            script = path.parent.name == "DEBIAN" and path.read_bytes().startswith(b"#!")
            path.chmod(0o755 if path.is_dir() or script else 0o644)
        for path in private:
            (root / path).chmod(0o700)
        archive = self._folder / f"{name}_{version}_all.deb"
        subprocess.run(
            ["dpkg-deb", "-Zgzip", "-z1", "--root-owner-group", "-b", root, archive], check=True, capture_output=True
        )
        content = archive.read_bytes()
        path = f"pool/{archive.name}"
        self._server.files[f"{self._root}/{path}"] = content
        self._stanzas.append(f"{control}Filename: {path}\nSize: {len(content)}\nSHA256: {_sha256(content)}\n")
        self._publish()

    def remove(self, name: str, version: str) -> None:
        """Takes a package out of the index; its file stays."""
        self._stanzas = [text for text in self._stanzas if f"pool/{name}_{version}_all.deb" not in text]
        self._publish()

    def _publish(self) -> None:
        index = "\n".join(self._stanzas).encode() + b"\n"
        release = f"Origin: test\nSuite: {self._suite}\nCodename: {self._suite}\n"
        release += "Architectures: all amd64 arm64\nComponents: main\n"
        release += "Date: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n"
        for architecture in ("all", "amd64", "arm64"):
            release += f" {_sha256(index)} {len(index)} main/binary-{architecture}/Packages\n"
            self._server.files[f"{self._root}/dists/{self._suite}/main/binary-{architecture}/Packages"] = index
        self._server.files[f"{self._root}/dists/{self._suite}/Release"] = release.encode()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
