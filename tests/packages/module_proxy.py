"""A proxy of Go's modules on loopback."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from pathlib import Path

from envbuild.packages.go_names import place_of
from tests.packages.conftest import Server


class ModuleProxy:
    """A proxy; `sums` are the lines of a go.sum for all of its modules."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.sums: list[str] = []

    def add(self, module: str, version: str, files: dict[str, bytes]) -> None:
        """Put a module into it; without a go.mod it gets one that says its path."""
        mod = files.get("go.mod", f"module {module}\n".encode())
        self._server.files[f"/{place_of(module, version, 'mod')}"] = mod
        self._server.files[f"/{place_of(module, version, 'zip')}"] = archive(module, version, files)
        inside = {f"{module}@{version}/{name}": content for name, content in files.items()}
        self.sums += [f"{module} {version} {h1(inside)}", f"{module} {version}/go.mod {h1({'go.mod': mod})}"]

    def add_folder(self, module: str, version: str, folder: Path) -> None:
        """Put the module into it whose files lie in a folder, as Debian's packages of modules have them."""
        paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        self.add(module, version, {str(path.relative_to(folder)): path.read_bytes() for path in paths})


def archive(module: str, version: str, files: dict[str, bytes]) -> bytes:
    """Return a module's zip file."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as stream:
        for name, content in files.items():
            stream.writestr(zipfile.ZipInfo(f"{module}@{version}/{name}"), content)
    return packed.getvalue()


def h1(files: dict[str, bytes]) -> str:
    """Return the hash of a go.sum."""
    lines = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(files.items()))
    return f"h1:{base64.b64encode(hashlib.sha256(lines.encode()).digest()).decode()}"
