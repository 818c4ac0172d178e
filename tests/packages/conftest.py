"""Servers on loopback that tests of packages fill themselves."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.conftest import DEBIAN, PYTHON, Project

__all__ = ["DEBIAN", "PYTHON", "Server"]


class Server:
    """Serves `files` by path, to those who send `authorization` if that is set. `broken` paths break off in the
    middle the first time they are asked for; `redirects` are addresses to which paths are sent on."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.broken: set[str] = set()
        self.redirects: dict[str, str] = {}
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
                if self.path in outer.redirects:
                    self.send_response(302)
                    self.send_header("Location", outer.redirects[self.path])
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
    index = Server()
    yield index
    index.close()


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory, debian_store: Path) -> None:
    """Has the store of this process have an image `node`, Debian with Node. Tests begin with that, as neither is made
    again then by `--no-cache` and `verify`."""
    done = Project(tmp_path_factory.mktemp("node"), debian_store).build(DEBIAN, "apt nodejs", name="node.env")
    assert done.code == 0, done.out


NODE_OF_DEBIAN = "v18.19.0"


@pytest.fixture(scope="session")
def npm(tmp_path_factory: pytest.TempPathFactory, debian_store: Path, node: None) -> None:
    """Has the store of this process have an image `npm`, the image `node` with npm. Without it each resolution fetches
    and unpacks npm, and begins twice."""
    from tests.packages.npm_registry import newest_npm

    project = Project(tmp_path_factory.mktemp("npm"), debian_store)
    (project.folder / "npm.tgz").write_bytes(newest_npm(NODE_OF_DEBIAN)[1])
    place = "/usr/lib/node_modules/npm"
    unpack = f"mkdir -p {place} && tar -xzf /npm.tgz -C {place} --strip-components=1 --exclude=docs --exclude=man"
    link = f"ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/bin/npm && chmod +x {place}/bin/npm-cli.js"
    done = project.build("from image:node", f"run(mount=npm.tgz:/npm.tgz) {unpack} && {link}", name="npm.env")
    assert done.code == 0, done.out


@pytest.fixture(scope="session")
def compiled_pip(tmp_path_factory: pytest.TempPathFactory, debian_store: Path) -> None:
    """Has the store of this process have an image `compiled-pip`, Debian with Python and a pip that is found with its
    bytecode. Out of Python's wheel, which is how it is found in `python`, each resolution compiles it: 0.6 s."""
    place = "/usr/lib/python3/dist-packages"
    unpack = f"python3 -m zipfile -e /usr/share/python-wheels/pip-*.whl {place}"
    compile_all = f"python3 -m compileall -q --invalidation-mode unchecked-hash {place}/pip"
    project = Project(tmp_path_factory.mktemp("pip"), debian_store)
    done = project.build("from image:python", f"run {unpack} && {compile_all}", name="compiled-pip.env")
    assert done.code == 0, done.out
