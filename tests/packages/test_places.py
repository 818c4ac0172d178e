"""Places: directories and web servers with files by their hashes, none of which is trusted."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from contextlib import nullcontext
from pathlib import Path

import pytest

from envbuild.lockfile.lock import Package
from envbuild.packages import place as place_module
from envbuild.packages.cache import Cache
from envbuild.packages.places import Places
from tests.packages.conftest import Server

CONTENT = b"the file of a package" * 1000
HASH = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
NAME = HASH.replace(":", "/")
PACKAGE = Package("less", "590-2", HASH, "debian/pool/main/l/less/less_590-2_amd64.deb")


class Asked:
    """Places with what they warned of."""

    def __init__(self, *places: str, most: int = 1 << 30, home: str = "/nowhere") -> None:
        self.warnings: list[str] = []
        self.places = Places(places, most, home, self.warnings.append)

    def take(self, folder: Path) -> bytes | None:
        path = folder / "taken"
        try:
            return path.read_bytes() if self.places.take(HASH, str(path)) else None
        finally:
            path.unlink(missing_ok=True)


def put(folder: Path, content: bytes = CONTENT) -> Path:
    path = folder / NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_file_comes_from_the_first_place_that_has_it(tmp_path, server):
    put(tmp_path / "second")
    asked = Asked(str(tmp_path / "none"), str(tmp_path / "second"), server.address)
    assert asked.take(tmp_path) == CONTENT
    assert server.asked == []
    server.files[f"/team/{NAME}"] = CONTENT
    assert Asked(f"{server.address}/team").take(tmp_path) == CONTENT
    assert Asked(server.address).take(tmp_path) is None


def test_files_of_other_algorithms_have_directories_of_their_own(tmp_path):
    (tmp_path / "sha512").mkdir()
    digest = hashlib.sha512(CONTENT).hexdigest()
    (tmp_path / "sha512" / digest).write_bytes(CONTENT)
    assert Asked(str(tmp_path)).places.find(f"sha512:{digest}", read=True) == f"{tmp_path}/sha512/{digest}"


def test_another_file_than_its_name_says_is_told_and_not_used(tmp_path, server):
    put(tmp_path / "first", b"something else")
    server.files[f"/{NAME}"] = b"also something else"
    put(tmp_path / "third")
    asked = Asked(str(tmp_path / "first"), server.address, str(tmp_path / "third"))
    assert asked.take(tmp_path) == CONTENT
    assert [warning.endswith("another file than its name says: it is not used") for warning in asked.warnings] == [
        True,
        True,
    ]


def test_links_fifos_and_directories_are_no_files(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(CONTENT)
    for kind in ("link", "fifo", "folder"):
        path = put(tmp_path / kind)
        path.unlink()
        {"link": lambda p: p.symlink_to(secret), "fifo": os.mkfifo, "folder": Path.mkdir}[kind](path)
        asked = Asked(str(tmp_path / kind))
        assert asked.take(tmp_path) is None
        assert len(asked.warnings) == 1


def test_a_file_beyond_the_limit_is_left(tmp_path, server):
    put(tmp_path / "place")
    server.files[f"/{NAME}"] = CONTENT
    for place in (str(tmp_path / "place"), server.address):
        asked = Asked(place, most=len(CONTENT) - 1)
        assert asked.take(tmp_path) is None
        assert f"larger than {len(CONTENT) - 1} bytes" in asked.warnings[0]


def test_places_that_are_down_cost_a_warning_each_and_two_seconds_in_all(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        silent = f"http://127.0.0.1:{listening.getsockname()[1]}"  # it lets in, and says nothing
        with socket.create_server(("127.0.0.1", 0)) as ended:
            closed = f"http://127.0.0.1:{ended.getsockname()[1]}"
        put(tmp_path / "place")
        others = [f"{silent}/{number}" for number in range(9)]
        asked = Asked(silent, *others, closed, str(tmp_path / "none"), str(tmp_path / "place"))
        started = time.monotonic()
        asked.places.leave_out_silent()
        assert asked.take(tmp_path) == CONTENT
        assert time.monotonic() - started < 18  # one after another, they would take 20
    assert len(asked.warnings) == 12
    assert "does not answer within 2 seconds" in asked.warnings[0]
    assert "Connection refused" in asked.warnings[10]


def test_a_place_that_fails_is_asked_no_more(tmp_path, server, monkeypatch):
    monkeypatch.setattr(place_module, "PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        asked = Asked(f"http://127.0.0.1:{listening.getsockname()[1]}", server.address)
        assert asked.take(tmp_path) is None
        assert asked.take(tmp_path) is None
    assert len(asked.warnings) == 1


def test_a_connection_that_breaks_once_is_no_reason_to_leave_a_place(tmp_path, server, monkeypatch):
    monkeypatch.setattr(place_module, "PAUSE", 0)
    server.files[f"/{NAME}"] = CONTENT
    server.broken.add(f"/{NAME}")
    asked = Asked(server.address)
    assert asked.take(tmp_path) == CONTENT
    assert asked.warnings == []


def trickle(listening: socket.socket, head: bytes) -> None:
    """Answers one request with a byte now and then, without an end."""
    connection, _ = listening.accept()
    with connection:
        connection.recv(4096)
        connection.sendall(head)
        try:
            while True:
                connection.sendall(b"x")
                time.sleep(0.02)
        except OSError:
            pass


@pytest.mark.parametrize("length", [b"", b"Content-Length: 1000000\r\n"])
def test_a_body_that_comes_too_slowly_is_given_up(tmp_path, monkeypatch, length):
    monkeypatch.setattr(place_module, "PATIENCE", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        head = b"HTTP/1.1 200 OK\r\n" + length + b"\r\n"
        thread = threading.Thread(target=trickle, args=(listening, head))
        thread.start()
        asked = Asked(f"http://127.0.0.1:{listening.getsockname()[1]}")
        assert asked.take(tmp_path) is None  # which would have no end
        thread.join()
    assert "bytes a second" in asked.warnings[0]


def test_what_a_broken_download_left_is_not_mixed_with_what_a_place_gives(tmp_path):
    put(tmp_path / "place", CONTENT[:-1] + b"!")
    cache = Cache(str(tmp_path), lambda name: nullcontext())
    part = Path(f"{cache.where(PACKAGE)}.part")
    part.write_bytes(CONTENT[:100])
    asked = Asked(str(tmp_path / "place"))
    assert asked.places.bring(cache, [PACKAGE], lambda done, total: None) == [PACKAGE]
    assert part.read_bytes() == CONTENT[:100]
    assert not list(tmp_path.glob("*.place"))
    put(tmp_path / "place")
    progress: list[int] = []
    assert asked.places.bring(cache, [PACKAGE], lambda done, total: progress.append(done)) == []
    assert Path(cache.where(PACKAGE)).read_bytes() == CONTENT
    assert progress[-1] == len(CONTENT)


def test_a_place_gets_its_own_password_and_nobody_elses(tmp_path, server):
    other = Server()
    try:
        server.authorization = "Basic YWRhOnNlY3JldA=="  # ada:secret
        other.files["/elsewhere"] = CONTENT
        other.authorization = "Basic Ym9iOm90aGVy"  # bob:other
        lines = [
            f"machine {server.address} login ada password secret",
            f"machine {other.address} login bob password other",
        ]
        (tmp_path / ".netrc").write_text("\n".join(lines))
        server.files[f"/{NAME}"] = CONTENT
        assert Asked(server.address, home=str(tmp_path)).take(tmp_path) == CONTENT
        server.redirects[f"/{NAME}"] = f"{other.address}/elsewhere"
        assert Asked(server.address, home=str(tmp_path)).take(tmp_path) is None
        assert [path for path, _ in other.asked] == ["/elsewhere"]
    finally:
        other.close()
