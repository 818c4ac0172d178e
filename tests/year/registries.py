"""An index of Python's packages and a registry of npm's, on loopback: with real files, taken by the real clients."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
import tarfile
from pathlib import Path

from tests.packages.conftest import Server


class PythonIndex:
    """A simple index (PEP 503) whose files can be yanked (PEP 592)."""

    def __init__(self, server: Server, folder: Path) -> None:
        self._server = server
        self._folder = folder
        folder.mkdir()
        self._files: dict[str, dict[str, str]] = {}
        """Of each project, the files and why each was yanked, "" if it was not."""
        self.url = f"{server.address}/python/simple"

    def publish(self, *requirements: str) -> None:
        """Takes real files of these from the machine's own index."""
        # The machine's constraints say what its own programs need.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PIP_CONSTRAINT")}
        for requirement in requirements:
            before = set(self._folder.iterdir())
            words = ["pip", "download", "-q", "--no-deps", "--disable-pip-version-check", "-d", str(self._folder)]
            options = ["--python-version", "3.11", "--only-binary", ":all:"]
            done = subprocess.run(
                ["/usr/bin/python3", "-m", *words, *options, requirement],
                env={**environment, "PIP_CONSTRAINT": "/dev/null"},
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            (file,) = set(self._folder.iterdir()) - before
            project = re.sub(r"[-_.]+", "-", file.name.partition("-")[0]).lower()
            self._files.setdefault(project, {})[file.name] = ""
        self._publish()

    def yank(self, start: str, reason: str) -> None:
        """Yanks the files whose names begin so."""
        for files in self._files.values():
            files.update({name: reason for name in files if name.startswith(start)})
        self._publish()

    def _publish(self) -> None:
        for project, files in self._files.items():
            links = []
            for name, yanked in files.items():
                content = (self._folder / name).read_bytes()
                self._server.files[f"/python/files/{name}"] = content
                digest = hashlib.sha256(content).hexdigest()
                mark = f' data-yanked="{yanked}"' if yanked else ""
                links.append(f'<a href="/python/files/{name}#sha256={digest}"{mark}>{name}</a>\n')
            page = f"<html><body>{''.join(links)}</body></html>"
            self._server.files[f"/python/simple/{project}/"] = page.encode()


class NodeRegistry:
    """A registry of npm's packages."""

    def __init__(self, server: Server, folder: Path) -> None:
        self._server = server
        self._folder = folder
        folder.mkdir()
        self._versions: dict[str, dict[str, dict]] = {}
        self.url = f"{server.address}/node/"

    def publish(self, *packages: str) -> None:
        """Takes real archives of these (NAME@VERSION) from the machine's own registry."""
        done = subprocess.run(
            ["npm", "pack", "--json", "--pack-destination", str(self._folder), *packages],
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        for packed in json.loads(done.stdout):
            name, version = packed["name"], packed["version"]
            content = (self._folder / packed["filename"]).read_bytes()
            with tarfile.open(self._folder / packed["filename"]) as archive:
                manifest = json.load(archive.extractfile("package/package.json"))
            path = f"/node/{name}/-/{packed['filename']}"
            self._server.files[path] = content
            integrity = base64.b64encode(hashlib.sha512(content).digest()).decode()
            dist = {
                "tarball": f"{self._server.address}{path}",
                "integrity": f"sha512-{integrity}",
                "shasum": hashlib.sha1(content).hexdigest(),
            }
            self._versions.setdefault(name, {})[version] = {**manifest, "dist": dist}
            versions = self._versions[name]
            document = {"name": name, "dist-tags": {"latest": version}, "versions": versions}
            self._server.files[f"/node/{name}"] = json.dumps(document).encode()
