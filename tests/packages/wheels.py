"""Wheels and an index of them, made by hand: as small as can be."""

from __future__ import annotations

import hashlib
import io
import zipfile

from tests.packages.conftest import Server


def wheel(name: str, version: str, requires: tuple[str, ...] = (), files: dict[str, str] | None = None) -> bytes:
    """A wheel with a module and a program, both of the distribution's name."""
    info = f"{name}-{version}.dist-info"
    metadata = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", "License: MIT"]
    metadata += [f"Requires-Dist: {requirement}" for requirement in requires]
    metadata += [
        f"Provides-Extra: {requirement.partition('extra == ')[2].strip(chr(39))}"
        for requirement in requires
        if "extra" in requirement
    ]
    content = {
        f"{name}.py": f"VERSION = '{version}'\n\n\ndef main():\n    print('{name}', VERSION)\n",
        **(files or {}),
        f"{info}/METADATA": "\n".join(metadata) + "\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {name}:main\n",
    }
    record = "".join(f"{path},,\n" for path in [*content, f"{info}/RECORD"])
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path, text in [*content.items(), (f"{info}/RECORD", record)]:
            archive.writestr(zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0)), text)
    return packed.getvalue()


class Index:
    """A package index on a loopback server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._files: dict[str, list[str]] = {}
        self.url = f"{server.address}/simple"

    def add(self, name: str, version: str, requires: tuple[str, ...] = (), files: dict[str, str] | None = None) -> str:
        """Puts a wheel into the index; the path of its file on the server."""
        content = wheel(name, version, requires, files)
        file = f"{name}-{version}-py3-none-any.whl"
        self._server.files[f"/files/{file}"] = content
        link = f'<a href="/files/{file}#sha256={hashlib.sha256(content).hexdigest()}">{file}</a>\n'
        self._files.setdefault(name, []).append(link)
        self._list(name)
        return f"/files/{file}"

    def remove(self, name: str, version: str) -> None:
        """Take a wheel out of the index; its file stays."""
        self._files[name] = [link for link in self._files[name] if f"/{name}-{version}-py3" not in link]
        self._list(name)

    def _list(self, name: str) -> None:
        self._server.files[f"/simple/{name}/"] = f"<html><body>{''.join(self._files[name])}</body></html>".encode()
