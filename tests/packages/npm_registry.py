"""A registry of npm packages made by hand, with the npm that the machine's own registry has."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import tarfile
import urllib.request

from envbuild.packages.manager import ManagerSettings
from envbuild.packages.npm_servers import NpmServers
from tests.packages.conftest import Server


def newest_npm(node: str) -> tuple[str, bytes]:
    """Return the version and the archive of the newest npm that a Node of this version runs, from the machine's own
    registry."""
    variables = tuple((key, value) for key, value in os.environ.items() if key.startswith("npm_config_"))
    servers = NpmServers(ManagerSettings(variables, os.environ.get("HOME", "/root"), 1 << 30))
    package, address = servers.newest_npm(node)
    with urllib.request.urlopen(address.url) as answer:
        return package.version, answer.read()


class Registry:
    """A registry on a loopback server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._versions: dict[str, dict[str, dict]] = {}

    def add(
        self,
        name: str,
        version: str,
        needs: dict[str, str] | None = None,
        files: dict[str, str] | None = None,
        **fields: object,
    ) -> None:
        """Put a package into the registry that says its version. `fields` are for its package.json."""
        about = {"name": name, "version": version, "main": "index.js", "dependencies": needs or {}, **fields}
        content = {"package.json": json.dumps(about), "index.js": f"module.exports = '{version}'\n", **(files or {})}
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            for file, text in content.items():
                info = tarfile.TarInfo(f"package/{file}")
                info.size, info.mode = len(text), 0o644
                archive.addfile(info, io.BytesIO(text.encode()))
        # npm looks for scripts only where the registry says that there are some.
        self._publish({**about, "hasInstallScript": True} if "scripts" in fields else about, packed.getvalue())

    def add_npm(self, node: str) -> None:
        """Put the newest npm into it that a Node of this version runs, for trees that have none."""
        version, content = newest_npm(node)
        self._publish({"name": "npm", "version": version, "engines": {"node": "*"}}, content)

    def _publish(self, about: dict, content: bytes) -> None:
        name, version = about["name"], about["version"]
        path = f"/{name}/-/{name}-{version}.tgz"
        self._server.files[path] = content
        integrity = f"sha512-{base64.b64encode(hashlib.sha512(content).digest()).decode()}"
        versions = self._versions.setdefault(name, {})
        versions[version] = {**about, "dist": {"tarball": f"{self._server.address}{path}", "integrity": integrity}}
        page = {"name": name, "dist-tags": {"latest": version}, "versions": versions}
        self._server.files[f"/{name}"] = json.dumps(page).encode()
