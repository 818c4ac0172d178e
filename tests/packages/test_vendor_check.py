"""Where pinned files of all kinds would come from: the index, the registry, the archive of past states, or nowhere."""

from __future__ import annotations

import hashlib

import pytest

from envbuild.build import vendor_check
from envbuild.build.pinned_files import BASE, FETCH, LockNeeds, PinnedFile
from envbuild.build.request import BuildRequest
from envbuild.build.vendor import vendor
from envbuild.lockfile.lock import Package
from envbuild.packages import apt_servers
from envbuild.plan.step import InstallPackages
from envbuild.store.store import Store
from tests.packages.wheels import Index

MOMENT = 1_700_000_000
POOL = "pool/main/l/less"


def pinned(kind: str, name: str, version: str, content: bytes, origin: str, algorithm: str = "sha256") -> PinnedFile:
    hash = f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"
    manager = "apt" if kind in (BASE, FETCH) else kind
    released = MOMENT if kind == BASE else 0
    action = InstallPackages(manager, (), (), (), (), "")
    return PinnedFile(kind, Package(name, version, hash, origin), action, (), released)


@pytest.fixture
def needs(server, monkeypatch) -> LockNeeds:
    """Files of all kinds, each at its only source on the server."""
    monkeypatch.setattr(apt_servers, "machine_sources", list)
    path = Index(server).add("alpha", "1.0")
    server.files |= {
        f"/snap/archive/debian/20231114T221320Z/{POOL}/less_590-2_amd64.deb": b"of the base",
        "/snap/mr/binary/more/1/binfiles?fileinfo=1": (
            b'{"result": [{"hash": "%s"}], "fileinfo": {"%s": [{"name": "more_1_all.deb"}]}}' % (b"a" * 40, b"a" * 40)
        ),
        f"/snap/file/{'a' * 40}": b"by version",
        "/npm/is-odd/-/is-odd-3.0.1.tgz": b"of npm",
        "/tool": b"fetched",
    }
    files = (
        pinned(BASE, "less", "590-2", b"of the base", f"debian/{POOL}/less_590-2_amd64.deb"),
        pinned("apt", "more", "1", b"by version", "debian/pool/main/m/more/more_1_all.deb"),
        pinned("pip", "alpha", "1.0", server.files[path], "index/alpha-1.0-py3-none-any.whl"),
        pinned("pip", "alpha", "1.0", b"of another hash", "index/alpha-1.0-py3-none-any.whl"),
        pinned("npm", "is-odd", "3.0.1", b"of npm", "is-odd/-/is-odd-3.0.1.tgz", "sha512"),
        pinned(FETCH, "tool", "-", b"fetched", f"{server.address}/tool"),
    )
    return LockNeeds("web.env", "web.env.lock", files, ())


@pytest.fixture
def request_of_user(server) -> BuildRequest:
    variables = {
        "PIP_INDEX_URL": f"{server.address}/simple",
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_FIND_LINKS": "",
        "npm_config_registry": f"{server.address}/npm",
    }
    return BuildRequest("", network=tuple(variables.items()), snapshot=f"{server.address}/snap", home="/nowhere")


def test_each_kind_of_file_is_found_at_its_source_and_none_is_fetched(server, needs, request_of_user, tmp_path):
    with Store.open(str(tmp_path / "store")) as store:
        checked = vendor_check.check([needs], store, request_of_user, pytest.fail, lambda *progress: None)
    answers = [checked[file.package.hash] for file in needs.files]
    assert [answer.source for answer in answers] == ["archive", "archive", "origin", "nowhere", "origin", "origin"]
    assert "it has alpha-1.0-py3-none-any.whl with another hash" in answers[3].reasons[0]
    whole = [path for path, wanted in server.asked if not wanted and not path.startswith(("/simple/", "/snap/mr/"))]
    assert whole == []


def test_each_kind_of_file_is_vendored_and_one_that_is_nowhere_keeps_no_other(server, needs, request_of_user, tmp_path):
    folder = tmp_path / "v"
    with Store.open(str(tmp_path / "store")) as store:
        done = vendor([needs], str(folder), store, request_of_user, pytest.fail, lambda *progress: None)
        assert (done.files, done.fetched, len(done.failures)) == (5, 5, 1)
        place = request_of_user.replace(places=(str(folder),))
        answers = vendor_check.check([needs], store, place, pytest.fail, lambda *progress: None)
    assert sorted(answer.source for answer in answers.values()) == ["nowhere", *5 * ["place"]]
