"""What a mirror dropped comes from an archive of past states, by its hash."""

from __future__ import annotations

import hashlib
import json
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pytest

from envbuild.build.base_packages import files_of
from envbuild.build.file_sources import FileSources
from envbuild.build.request import BuildRequest
from envbuild.http.transport import Transport
from envbuild.lockfile.lock import BasePackages, Package
from envbuild.packages import apt_servers
from envbuild.packages.cache import Address, Cache, Wanted
from envbuild.packages.download import fetch
from envbuild.packages.errors import NotToBeHad, WrongHash
from envbuild.packages.snapshot import by_date, by_version
from envbuild.store.store import Store

CONTENT = b"the file of a package"
SHA1 = "a" * 40
FILE = "less_590-2_amd64.deb"
PACKAGE = Package("less", "590-2", f"sha256:{hashlib.sha256(CONTENT).hexdigest()}", f"debian/pool/main/l/less/{FILE}")
ASKED = "/mr/binary/less/590-2/binfiles?fileinfo=1"


def document(name: str = FILE, digest: str = SHA1) -> bytes:
    info = [{"archive_name": "debian", "first_seen": "20230101T000000Z", "name": name, "path": "/pool/main/l/less"}]
    return json.dumps({"result": [{"architecture": "amd64", "hash": digest}], "fileinfo": {digest: info}}).encode()


def fetched(server, tmp_path: Path) -> bytes:
    """Return what comes of the package, which the mirror no longer has."""
    cache = Cache(str(tmp_path), lambda name: nullcontext())
    mirror = Address(f"{server.address}/debian/pool/main/l/less/{FILE}")
    wanted = Wanted(PACKAGE, (mirror,), look_up=partial(by_version, f"{server.address}/snapshot", PACKAGE))
    fetch(cache, [wanted], Transport(), lambda done, total: None)
    return Path(cache.where(PACKAGE)).read_bytes()


def test_a_file_that_the_mirror_dropped_is_found_by_its_version(server, tmp_path):
    server.files[f"/snapshot{ASKED}"] = document()
    server.files[f"/snapshot/file/{SHA1}"] = CONTENT
    assert fetched(server, tmp_path) == CONTENT


def test_the_archive_is_not_asked_for_what_the_mirror_has(server, tmp_path):
    server.files[f"/debian/pool/main/l/less/{FILE}"] = CONTENT
    assert fetched(server, tmp_path) == CONTENT
    assert [path for path, _ in server.asked] == [f"/debian/pool/main/l/less/{FILE}"]


@pytest.mark.parametrize(
    "answer",
    [b"", b"<html>", b"[]", b'{"result": [{"hash": 5}]}', document(name="more.deb"), document(digest="../../x")],
)
def test_an_archive_that_answers_nonsense_is_said_beside_the_mirror(server, tmp_path, answer):
    server.files[f"/snapshot{ASKED}"] = answer
    with pytest.raises(NotToBeHad) as caught:
        fetched(server, tmp_path)
    assert "404" in caught.value.message
    assert all("/file/" not in path for path, _ in server.asked)


def test_an_archive_that_gives_another_file_is_refused(server, tmp_path):
    server.files[f"/snapshot{ASKED}"] = document()
    server.files[f"/snapshot/file/{SHA1}"] = b"another file"
    with pytest.raises(WrongHash):
        fetched(server, tmp_path)


def test_a_date_is_that_of_the_suite():
    address = by_date("https://snapshot.test", PACKAGE, 1_700_000_000).url
    assert address == f"https://snapshot.test/archive/debian/20231114T221320Z/pool/main/l/less/{FILE}"


def test_the_packages_of_a_base_come_by_the_date_of_its_suite(server, tmp_path, monkeypatch):
    monkeypatch.setattr(apt_servers, "machine_sources", list)
    server.files[f"/archive/debian/20231114T221320Z/pool/main/l/less/{FILE}"] = CONTENT
    request = BuildRequest("", fetch_limit=1 << 20, snapshot=server.address)
    with Store.open(str(tmp_path / "store")) as store:
        files = FileSources(request, lambda event: None)
        paths = files_of(store, request, files, BasePackages((PACKAGE,)), 1_700_000_000, lambda line: None)
        assert Path(paths[PACKAGE.hash]).read_bytes() == CONTENT


def test_what_a_base_lacks_is_renewed_with_all_of_it(server, tmp_path, monkeypatch):
    monkeypatch.setattr(apt_servers, "machine_sources", list)
    request = BuildRequest("", fetch_limit=1 << 20, snapshot=server.address)
    with Store.open(str(tmp_path / "store")) as store:
        files = FileSources(request, lambda event: None)
        with pytest.raises(NotToBeHad) as caught:
            files_of(store, request, files, BasePackages((PACKAGE,)), 1_700_000_000, lambda line: None)
    assert "404" in caught.value.message
    assert caught.value.hint.endswith("envbuild update RECIPE")
