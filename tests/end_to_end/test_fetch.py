"""`fetch`, from a server on this machine's loopback that the test starts and stops."""

import io
import tarfile
import threading
import zipfile
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.conftest import pins_of

pytestmark = pytest.mark.namespaces


class Server:
    """Serves bytes by path, and counts how often each was asked for. A path in `broken` breaks off once."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.ranges: list[str] = []
        self.broken: set[str] = set()
        self.redirects: dict[str, str] = {}
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append(self.path)
                if self.path in server.redirects:
                    self.send_response(302)
                    self.send_header("Location", server.redirects[self.path])
                    self.end_headers()
                    return
                body = server.files.get(self.path)
                if body is None:
                    self.send_error(404)
                    return
                start = 0
                wanted = self.headers.get("Range")
                if wanted:
                    server.ranges.append(wanted)
                    start = int(wanted.removeprefix("bytes=").rstrip("-"))
                self.send_response(206 if wanted else 200)
                self.send_header("Content-Length", str(len(body) - start))
                self.end_headers()
                if self.path in server.broken:
                    server.broken.discard(self.path)
                    self.wfile.write(body[start : len(body) // 2])
                    return
                self.wfile.write(body[start:])

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


def test_a_file_is_fetched_once_and_its_digest_is_in_the_lock(project, server):
    server.files["/tool"] = b"tool"
    line = f"fetch(mode=0755) {server.url}/tool -> /usr/bin/"
    first = project.build(line)
    assert first.code == 0, first.err
    assert project.ls("/usr/bin")["tool"]["mode"] == "0755"
    assert pins_of(project.folder / "web.env.lock")["fetched"] == {
        f"{server.url}/tool": f"sha256:{sha256(b'tool').hexdigest()}"
    }
    assert project.build().ran == []
    assert server.asked == ["/tool"]


def test_another_file_than_the_lock_says_stops_the_build(project, server, tmp_path):
    server.files["/x"] = b"one"
    project.build(f"fetch {server.url}/x -> /x")
    server.files["/x"] = b"two"
    done = project.build(ENVBUILD_STORE=str(tmp_path / "other"))
    assert done.code == 1
    for text in (sha256(b"one").hexdigest(), sha256(b"two").hexdigest(), "the lock"):
        assert text in done.err
    done = project.command("update", "web.env")
    assert (done.code, project.cat("/x")) == (0, "two"), done.err
    first, two = (sha256(content).hexdigest()[:12] for content in (b"one", b"two"))
    assert done.out.splitlines()[0] == f"web: fetch {server.url}/x {two}: same address, other content"
    assert done.out.splitlines()[2].split(maxsplit=6) == [
        *("web", "1", "fetch", f"{server.url}/x", first, two, "same address, other content")
    ]


def test_an_update_says_which_fetched_files_changed_and_where_they_came_from(project, server):
    server.files |= {"/new/x": b"one", "/y": b"y"}
    server.redirects["/x"] = "/new/x"
    long = f"{server.url}/y?{'s' * 1200}"
    server.files[long.removeprefix(server.url)] = b"signed"
    project.build(f"fetch {server.url}/x -> /x", f"fetch {server.url}/y -> /y", f"fetch {long} -> /z")
    assert project.build().ran == []
    assert project.command("update", "web.env").out == "nothing moved\n"
    server.files["/new/x"] = b"two"
    recipe = project.folder / "web.env"
    recipe.write_text(recipe.read_text().replace(f"fetch {server.url}/y -> /y\n", ""))
    for words in (("--dry-run",), ()):  # a dry run has no image, and says the same
        done = project.command("update", "web.env", *words)
        assert done.code == 0, done.err
        why = f"same address, other content; redirected to {server.url}/new/x"
        assert f"{server.url}/x {sha256(b'two').hexdigest()[:12]}: {why}" in done.out
        rows = [line.split()[2:6] for line in done.out.splitlines()[2:]]
        first, two, gone = (sha256(content).hexdigest()[:12] for content in (b"one", b"two", b"y"))
        assert rows == [["fetch", f"{server.url}/x", first, two], ["fetch", f"{server.url}/y", gone, "-"]]
    assert project.command("update", "web.env").out == "nothing moved\n"


def test_a_given_digest_is_held_against_the_file(project, server):
    server.files["/x"] = b"one"
    done = project.build(f"fetch(sha256={'0' * 64}) {server.url}/x -> /x")
    assert done.code == 1
    assert "the recipe" in done.err
    assert project.build(f"fetch(sha256={sha256(b'one').hexdigest()}) {server.url}/x -> /x").code == 0


def test_what_is_not_there_is_an_error(project, server):
    done = project.build(f"fetch {server.url}/none -> /x")
    assert done.code == 1
    assert "404" in done.err


def test_a_broken_connection_is_taken_up_again(project, server):
    server.files["/big"] = bytes(range(256)) * 4096
    server.broken.add("/big")
    done = project.build(f"fetch {server.url}/big -> /big")
    assert done.code == 0, done.err
    assert len(server.asked) == 2
    assert project.ls("/")["big"]["size"] == 256 * 4096


def test_archives_are_unpacked(project, server):
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("in/zip", "zip")
    packed = io.BytesIO()
    plain = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        info = tarfile.TarInfo("dir/file")
        info.size, info.uid, info.mode = 3, 1234, 0o755
        archive.addfile(info, io.BytesIO(b"tar"))
    with tarfile.open(fileobj=plain, mode="w") as archive:  # a zip archive ends near the end of this one
        info = tarfile.TarInfo("in.zip")
        info.size = len(zipped.getvalue())
        archive.addfile(info, io.BytesIO(zipped.getvalue()))
    server.files |= {"/a.tar.gz": packed.getvalue(), "/c.tar": plain.getvalue()[:-8192]}
    server.files["/b.zip"] = zipped.getvalue()
    done = project.build(
        f"fetch(unpack) {server.url}/a.tar.gz -> /opt/tar/",
        f"fetch(unpack) {server.url}/b.zip -> /opt/zip/",
        f"fetch(unpack) {server.url}/c.tar -> /opt/tar/",
    )
    assert done.code == 0, done.err
    assert project.cat("/opt/tar/dir/file") == "tar"
    assert project.ls("/opt/tar/dir")["file"]["uid"] == 0
    assert project.cat("/opt/zip/in/zip") == "zip"
    assert project.ls("/opt/tar")["in.zip"]["size"] == len(zipped.getvalue())
    for name in ("a.tar.gz", "b.zip"):
        (project.folder / name).write_bytes(server.files[f"/{name}"])
    kept = project.folder / "kept.env"
    kept.write_text("from scratch as kept\ncopy a.tar.gz -> /\n")
    lines = ("copy(unpack) a.tar.gz b.* -> /opt/", "copy(unpack, owner=7:8, from=recipe:kept.env) /a.tar.gz -> /srv")
    copied = project.build(*lines)
    assert copied.code == 0, copied.err
    assert project.cat("/opt/in/zip") == "zip"
    assert (project.ls("/opt/dir")["file"]["mode"], project.ls("/opt/dir")["file"]["uid"]) == ("0755", 0)
    assert project.ls("/srv/dir")["file"]["uid"] == 7
    (project.folder / "b.zip").rename(project.folder / "b.jar")
    (project.folder / "b.jar").chmod(0o600)
    again = project.build()
    assert (again.code, again.ran) == (0, [])  # only the content counts
    (project.folder / "b.jar").write_bytes(server.files["/a.tar.gz"])
    assert project.build().ran == [*lines]
    assert "in" not in project.ls("/opt")


def test_a_hostile_archive_is_refused(project, server):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("../../outside"))
    server.files["/a.tar"] = packed.getvalue()
    done = project.build(f"fetch(unpack) {server.url}/a.tar -> /opt/")
    assert done.code == 2
    assert "leads out of the archive" in done.of("step-failed")[0]["message"]
    (project.folder / "a.tar").write_bytes(packed.getvalue())
    for source, reason in (("a.tar", "leads out of the archive"), ("dir", "is not an archive"), ("x.tar", "header")):
        (project.folder / "dir").mkdir(exist_ok=True)
        (project.folder / "x.tar").write_text("neither tar nor zip")
        done = project.build("run false", f"copy(unpack) {source} -> /opt/")
        assert (done.code, done.ran) == (2, []), done.err  # told before the first step runs
        assert reason in done.err
        assert f"copy(unpack) {source} -> /opt/\n   |              {'^' * len(source)} " in done.err
