"""A git server on this machine's loopback: git's own http-backend behind Python's server, and repositories for it."""

from __future__ import annotations

import base64
import os
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PERSON = {
    **{
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "A"), ("EMAIL", "a@b"))
    },
    "GIT_AUTHOR_DATE": "1700000000 +0000",
    "GIT_COMMITTER_DATE": "1700000000 +0000",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
}


def git(folder: Path, *words: str, given: bytes | None = None, code: int = 0) -> str:
    """Run git in a directory, as nobody in particular, to this exit code; return what it prints."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | PERSON
    done = subprocess.run(
        ["git", "-C", str(folder), *words], input=given, capture_output=True, env=environment, check=False
    )
    assert done.returncode == code, done.stderr.decode()
    return done.stdout.decode().strip()


def repository(path: Path) -> Path:
    """Make an empty repository whose branch is main."""
    path.mkdir(parents=True)
    git(path, "init", "--quiet", "--initial-branch=main")
    return path


def commit(path: Path, **files: str) -> str:
    """Write files, commit all that there is, and return the commit."""
    for name, text in files.items():
        (path / name).write_text(text)
    git(path, "add", "--all")
    git(path, "commit", "--quiet", "--message=x")
    return git(path, "rev-parse", "HEAD")


def _basic(user: str) -> str:
    return f"Basic {base64.b64encode(user.encode()).decode()}"


class GitServer:
    """Serves the repositories below a directory. Paths below `/dumb` are plain files; those in `redirects` are sent on;
    `files` are sent as they are; `asked` has all that was asked for; what begins with one of `users` is only for who
    has that user and password."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []
        self.redirects: dict[str, str] = {}
        self.files: dict[str, bytes] = {}
        self.users: dict[str, str] = {}
        self.variables: dict[str, str] = {}
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append(self.path)
                path, _, query = self.path.partition("?")
                first = path.split("/")[1]
                if first in server.redirects:
                    self.send_response(301)
                    self.send_header("Location", server.redirects[first] + self.path.removeprefix(f"/{first}"))
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                elif first in server.users and self.headers.get("Authorization") != _basic(server.users[first]):
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", 'Basic realm="x"')
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                elif first in server.files:
                    self._send(200, server.files[first])
                elif first == "dumb":
                    self._file(server.folder / path.removeprefix("/dumb/"))
                else:
                    self._backend(path, query)

            do_POST = do_GET

            def _file(self, path: Path) -> None:
                self._send(*((200, path.read_bytes()) if path.is_file() else (404, b"")))

            def _send(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def _backend(self, path: str, query: str) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.headers.get("Transfer-Encoding") == "chunked":
                    while size := int(self.rfile.readline(), 16):
                        body += self.rfile.read(size)
                        self.rfile.readline()
                variables = {
                    **PERSON,
                    "PATH": os.environ["PATH"],
                    "GIT_PROJECT_ROOT": str(server.folder),
                    "GIT_HTTP_EXPORT_ALL": "1",
                    "GIT_PROTOCOL": self.headers.get("Git-Protocol") or "",
                    "REQUEST_METHOD": self.command,
                    "PATH_INFO": path,
                    "QUERY_STRING": query,
                    "CONTENT_TYPE": self.headers.get("Content-Type") or "",
                    "CONTENT_LENGTH": str(len(body)),
                    "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding") or "",
                    "REMOTE_ADDR": "127.0.0.1",
                    "GIT_CONFIG_COUNT": "1",
                    "GIT_CONFIG_KEY_0": "safe.directory",
                    "GIT_CONFIG_VALUE_0": "*",
                    **server.variables,
                }
                done = subprocess.run(
                    ["git", "http-backend"], input=body, capture_output=True, env=variables, check=False
                )
                head, _, answer = done.stdout.partition(b"\r\n\r\n")
                fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if line)
                self.send_response(int(fields.pop("Status", "200").split()[0]))
                for name, value in fields.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"git+http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
