"""Debian's docker-registry on loopback, and a relay before it that counts what goes through."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

from benchmarks.peers import Missing

_CHUNK = 1 << 18


class Registry:
    """A registry with storage of its own. `host` is what references begin with."""

    def __init__(self, folder: Path) -> None:
        """Starts it. Raises Missing."""
        program = shutil.which("docker-registry")
        if program is None:
            raise Missing("docker-registry is not installed")
        folder.mkdir()
        settings = folder / "config.yml"
        storage = f"storage: {{filesystem: {{rootdirectory: {folder / 'data'}}}, delete: {{enabled: true}}}}"
        settings.write_text(f"version: 0.1\n{storage}\nhttp: {{addr: '127.0.0.1:0'}}\n")
        log = folder / "log"
        with log.open("wb") as file:
            self._process = subprocess.Popen([program, "serve", str(settings)], stdout=file, stderr=file)
        for _ in range(100):
            if listening := re.search(r"listening on 127\.0\.0\.1:(\d+)", log.read_text()):
                break
            time.sleep(0.1)
        else:
            self.close()
            raise Missing(f"docker-registry does not answer: {log.read_text()[-300:]}")
        self.port = int(listening.group(1))
        self.host = f"localhost:{self.port}"

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


class Relay:
    """Another port of the registry. `sent` are the bytes that went to it through here, `came` those that came."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.sent = self.came = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.host = f"localhost:{self._server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client = self._server.accept()[0]
                registry = socket.create_connection(("127.0.0.1", self._port))
                threading.Thread(target=self._pass, args=(client, registry, True), daemon=True).start()
                threading.Thread(target=self._pass, args=(registry, client, False), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, up: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                if up:
                    self.sent += len(data)
                else:
                    self.came += len(data)
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
