"""OpenSSH's own server and agent on this machine, for who runs the tests: with keys, a port and a log of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"


def new_key(path: Path) -> Path:
    """Make a key without a password, and its public half beside it."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


class SshServer:
    """A server on loopback that gives a shell to who has `key`. `known` is its line of a known_hosts. Each connection
    has an sshd of its own, so that the port is one that nobody else can take."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self.key, host = new_key(folder / "user"), new_key(folder / "host")
        # With SHLVL bash takes itself for started by another, and reads no start files of the user (bash(1)), which can
        # start a hundred programs. The key exchange that costs least is as good here.
        settings = folder / "settings"
        settings.write_text(f"""
            HostKey {host}
            AuthorizedKeysFile {self.key}.pub
            StrictModes no
            UsePAM no
            PasswordAuthentication no
            KbdInteractiveAuthentication no
            SetEnv SHLVL=2
            KexAlgorithms curve25519-sha256
        """)
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # where it confines its own process, with nothing in it
        log = folder / "log"
        log.touch()

        class Connection(BaseRequestHandler):
            def handle(self) -> None:
                with open(log, "ab") as errors:
                    command = [SSHD, "-i", "-e", "-f", settings]
                    subprocess.run(command, stdin=self.request, stdout=self.request, stderr=errors, check=False)

        self._server = ThreadingTCPServer(("127.0.0.1", 0), Connection)
        self.port = self._server.server_address[1]
        self.known = f"[127.0.0.1]:{self.port} {host.with_suffix('.pub').read_text()}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    @property
    def log(self) -> str:
        return (self._folder / "log").read_text()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Agent:
    """An agent of ssh's own, which has a key."""

    def __init__(self, key: Path) -> None:
        self._folder = tempfile.mkdtemp(dir="/tmp")  # a socket's path may have 108 bytes only (unix(7))
        self.socket = f"{self._folder}/agent"
        self._process = subprocess.Popen(["ssh-agent", "-D", "-a", self.socket], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline().startswith("SSH_AUTH_SOCK")  # it listens
        self.add("-q", str(key))

    def add(self, *words: str) -> str:
        """Run ssh-add, and return what it prints."""
        environment = {**os.environ, "SSH_AUTH_SOCK": self.socket}
        done = subprocess.run(["ssh-add", *words], env=environment, check=True, capture_output=True, text=True)
        return done.stdout

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        shutil.rmtree(self._folder)
