"""One store with Debian and Python for all tests of packages, and servers on loopback that they fill themselves."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.conftest import Project

DEBIAN = "from debian:bookworm"
PYTHON = (DEBIAN, "apt python3 python3-venv")


class Server:
    """Serves `files` by path, to those who send `authorization` if that is set. `broken` paths break off in the
    middle the first time they are asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.broken: set[str] = set()
        self.asked: list[tuple[str, str]] = []
        self.authorization = ""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.asked.append((self.path, self.headers.get("Range", "")))
                content = outer.files.get(self.path)
                if outer.authorization and self.headers.get("Authorization") != outer.authorization:
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", 'Basic realm="test"')
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                if content is None:
                    self.send_error(404)
                    return
                start = 0
                if self.headers.get("Range"):
                    start = int(self.headers["Range"].removeprefix("bytes=").partition("-")[0])
                self.send_response(206 if start else 200)
                kind = "text/html" if self.path.endswith("/") else "application/octet-stream"
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content) - start))
                self.end_headers()
                if self.path in outer.broken and not start:
                    outer.broken.discard(self.path)
                    self.wfile.write(content[: len(content) // 2])
                    self.close_connection = True
                    return
                self.wfile.write(content[start:])

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.close()


@pytest.fixture(scope="session")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that has Debian with Python already."""
    folder = tmp_path_factory.mktemp("packages")
    store = folder / "store"
    first = Project(folder, store)
    done = first.build(*PYTHON, name="python.env")
    assert done.code == 0, done.err
    return store


@pytest.fixture
def debian(tmp_path: Path, shared_store: Path) -> Project:
    """A project whose store has Debian with Python."""
    folder = tmp_path / "project"
    folder.mkdir()
    return Project(folder, shared_store)
