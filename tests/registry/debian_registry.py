"""Debian's docker-registry on this machine's loopback, with a configuration of its own in a folder: the package's
service and its settings are not used."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import wait_for
from tests.registry.certificates import Authority

PROGRAM = "docker-registry"


class DebianRegistry:
    """A registry that is running. `host` is what references begin with."""

    def __init__(
        self,
        folder: Path,
        *,
        authority: Authority | None = None,
        users: dict[str, str] | None = None,
        token_realm: str = "",
        token_certificate: Path | None = None,
        client_authority: Path | None = None,
    ) -> None:
        program = shutil.which(PROGRAM)
        if program is None:
            pytest.skip(f"{PROGRAM} is not installed")
        folder.mkdir(parents=True)
        self.data = folder / "data"
        lines = [
            "version: 0.1",
            "log: {level: info, formatter: text}",
            f"storage: {{filesystem: {{rootdirectory: {self.data}}}, delete: {{enabled: true}}}}",
            "http:",
            "  addr: 127.0.0.1:0",
        ]
        if authority is not None:
            certificate, key = authority.certificate("localhost")
            lines += ["  tls:", f"    certificate: {certificate}", f"    key: {key}"]
            if client_authority is not None:
                lines += ["    clientcas:", f"      - {client_authority}"]
        if users:
            passwords = folder / "htpasswd"
            for user, password in users.items():
                made = subprocess.run(
                    ["htpasswd", "-Bbn", user, password], capture_output=True, check=True, text=True
                ).stdout
                with passwords.open("a") as file:
                    file.write(made.strip() + "\n")
            lines += ["auth:", "  htpasswd:", "    realm: tests", f"    path: {passwords}"]
        if token_realm:
            lines += [
                "auth:",
                "  token:",
                f"    realm: {token_realm}",
                "    service: tests",
                "    issuer: tests",
                f"    rootcertbundle: {token_certificate}",
            ]
        settings = folder / "config.yml"
        settings.write_text("\n".join(lines) + "\n")
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen([program, "serve", str(settings)], stdout=log, stderr=log)
        wait_for(lambda: self._port() or self._process.poll() is not None)
        assert self._process.poll() is None, self.log.read_text()
        self.host = f"localhost:{self._port()}"

    def _port(self) -> str:
        listening = re.search(r"listening on 127\.0\.0\.1:(\d+)", self.log.read_text())
        return listening.group(1) if listening else ""

    def requests(self, method: str) -> list[str]:
        """The paths that were asked for by a method, by now."""
        return re.findall(rf'"{method} (\S+) HTTP', self.log.read_text())

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
