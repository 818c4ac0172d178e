"""The base `debian:SUITE`: what it refuses before anything is fetched, and one made for real."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
import threading
import types
from pathlib import Path

import pytest

from envbuild.bases import debian
from envbuild.bases.debian import (
    MirrorFailed,
    NeedsIdRange,
    NoMmdebstrap,
    NoSource,
    NoSuite,
    prepare_again,
    prepare_debian,
)
from envbuild.bases.debian_repository import write_repository
from envbuild.build.base_packages import files_of, packages_of
from envbuild.build.file_sources import FileSources
from envbuild.build.request import BuildRequest
from envbuild.debian.apt_sources import AptSource
from envbuild.debian.deb822 import stanzas
from envbuild.errors import MachineLacks
from envbuild.lockfile.lock import BasePackages, Package
from envbuild.store.store import Store
from envbuild.tree.entry import FILE
from envbuild.tree.lookup import walk
from tests.bases.targets import Memory, in_memory
from tests.child import become, in_child
from tests.conftest import image_in, pins_of, wait_for
from tests.in_namespace import run_inside

pytestmark = pytest.mark.user


def silent(line: str) -> None:
    pass


@pytest.mark.parametrize("name", ["", "../etc", "--help", "a b", "Bookworm", "a\nTrusted: yes"])
def test_what_can_be_no_suite(name, tmp_path):
    with pytest.raises(NoSuite):
        prepare_debian(name, str(tmp_path), progress=silent)


def test_without_mmdebstrap_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(debian, "find_program", lambda name: None)
    with pytest.raises(NoMmdebstrap) as caught:
        prepare_debian("bookworm", str(tmp_path), progress=silent)
    assert isinstance(caught.value, MachineLacks)
    assert caught.value.hint == "apt-get install mmdebstrap"


def test_a_user_without_a_range_of_ids_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(debian, "find_program", lambda name: "/bin/false")
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    monkeypatch.setattr(debian, "why_not_range", lambda uid: f"{uid} has none in /etc/subuid")
    with pytest.raises(NeedsIdRange, match="12345 has none"):
        prepare_debian("bookworm", str(tmp_path), progress=silent)


def test_a_machine_without_a_source_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(debian, "find_program", lambda name: "/bin/false")
    monkeypatch.setattr(debian, "why_not_range", lambda uid: "")
    vendor = AptSource("https://vendor.test/apt", "bookworm", ("main",), (("Signed-By", "/v.gpg"),))
    monkeypatch.setattr(debian, "machine_sources", lambda: [vendor])
    with pytest.raises(NoSource) as caught:
        prepare_debian("bookworm", str(tmp_path), progress=silent)
    assert "Suites: bookworm" in caught.value.hint


def test_a_root_is_made_where_other_users_may_enter(tmp_path, monkeypatch):
    inner = tmp_path / "inner"
    inner.mkdir(mode=0o755)
    monkeypatch.setattr(tempfile, "tempdir", str(inner))
    monkeypatch.setattr(os, "stat", lambda path: os.lstat(inner))
    monkeypatch.setattr(os, "statvfs", lambda path: types.SimpleNamespace(f_flag=os.ST_RELATIME))
    assert debian._folder_of_roots() == str(inner)
    monkeypatch.setattr(os, "statvfs", lambda path: types.SimpleNamespace(f_flag=os.ST_NODEV))
    assert debian._folder_of_roots() == "/tmp"
    monkeypatch.undo()
    monkeypatch.setattr(tempfile, "tempdir", str(inner))
    tmp_path.chmod(0o700)
    assert debian._folder_of_roots() == "/tmp"


def test_a_tool_that_fails_is_quoted(tmp_path):
    lines: list[str] = []
    words = ["sh", "-c", "echo one; echo two >&2; umask; exit 3"]
    with pytest.raises(MirrorFailed, match="one\ntwo\n0022"):
        debian._run(words, str(tmp_path), lines.append, lambda output: MirrorFailed("x", "it failed", output))
    assert lines == ["one\n", "two\n", "0022\n"]


def test_an_interrupt_ends_the_tool_and_what_it_started(tmp_path):
    def stop(line: str) -> None:
        raise KeyboardInterrupt

    before = set(threading.enumerate())
    words = ["sh", "-c", f"sleep 300 & echo $! > {tmp_path}/pid; echo begun; wait"]
    with pytest.raises(KeyboardInterrupt):
        debian._run(words, str(tmp_path), stop, lambda output: AssertionError(output))
    child = int((tmp_path / "pid").read_text())
    assert wait_for(lambda: not _runs(child))
    assert set(threading.enumerate()) <= before


def _runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def made(debian_base):
    """What the lock says of the base of the image that all tests of Debian start from."""
    (stage,) = pins_of(debian_base.parent / "python.env.lock")["stages"]
    return stage


@pytest.mark.mirror
@pytest.mark.slow
def test_a_debian_is_made(debian_base, made):
    assert made["origin"].startswith("debian bookworm, 12.")

    def body() -> None:
        store = Store.open(str(debian_base))
        entries = dict(walk(store.trees, made["digest"].removeprefix("sha256:")))
        assert b"Package: apt\nStatus: install ok installed\n" in store.objects.read(entries[b"var/lib/dpkg/status"])
        assert entries[b"usr/bin/su"].mode == 0o4755
        assert entries[b"etc/shadow"].gid == 42
        assert entries[b"run/lock"].mode == 0o1777

    run_inside(body)


@pytest.mark.mirror
@pytest.mark.slow
def test_nothing_of_the_machine_or_the_day_is_in_it(debian_base, made):
    def body() -> None:
        store = Store.open(str(debian_base))
        entries = dict(walk(store.trees, made["digest"].removeprefix("sha256:")))
        for path in (b"etc/apt/sources.list", b"etc/hostname", b"etc/resolv.conf", b"var/cache/ldconfig/aux-cache"):
            assert path not in entries
        closed = (b"var/log/", b"var/lib/apt/lists/", b"etc/apt/sources.list.d/", b"dev/", b"proc/", b"tmp/")
        assert [path for path, entry in entries.items() if path.startswith(closed) and entry.kind == FILE] == []
        assert b"etc/machine-id" not in entries or store.objects.read(entries[b"etc/machine-id"]) == b""
        assert max(entry.mtime for entry in entries.values()) == made["epoch"] * 10**9

    run_inside(body)


@pytest.mark.mirror
def test_each_user_makes_the_same(made, debian_base):
    """The users of one run of CI share a folder: what the first of them makes, the others must make, too."""
    folder = os.environ.get("ENVBUILD_TESTS_TOGETHER")
    if folder is None:
        pytest.skip("one user alone runs the tests")
    image = image_in(debian_base.parent / "python.env.lock")
    ours = Path(folder) / f"debian-of-{os.geteuid()}"
    ours.write_text(f"{made['digest']} {image}")
    ours.chmod(0o644)
    try:
        os.link(ours, f"{folder}/debian")
    except FileExistsError:
        pass
    assert Path(f"{folder}/debian").read_text() == ours.read_text()


@pytest.fixture(scope="module")
def bookworm(tmp_path_factory) -> Memory:
    """A base in memory, for the tests of the night: it takes long to make."""
    base = prepare_debian("bookworm", str(tmp_path_factory.mktemp("debian")), progress=silent)
    tree = in_memory(base)
    tree.base = base
    return tree


@pytest.mark.mirror
@pytest.mark.slow
@pytest.mark.nightly
def test_its_packages_give_it_again_when_the_suite_has_moved_on(bookworm, tmp_path):
    packages = packages_of(bookworm.base.made_of)
    assert {"apt", "bash", "dpkg", "libc6"} <= {package.name for package in packages.all}
    assert packages.asked
    assert packages.pulled
    with Store.open(str(tmp_path / "store")) as store:
        files = FileSources(BuildRequest(""), lambda event: None)
        paths = files_of(store, BuildRequest(""), files, packages, bookworm.base.epoch, silent)
        released, identity = bookworm.base.epoch, bookworm.base.identity
        base = prepare_again("bookworm", packages, paths, released, identity, str(tmp_path), progress=silent)
        assert base.identity == identity
        again = in_memory(base)
    assert again.entries == bookworm.entries


def test_what_the_hook_says_is_kept_from_the_user():
    shown: list[str] = []
    reader = debian._HookReader(shown.append)
    for line in (
        "I: one\n",
        f"I: running --customize-hook in shell: sh -c '{debian.HOOK}' exec /tmp\n",
        "envbuild-file: 'u' f 1 SHA256:2\n",
        "envbuild-pulled: adduser\n",
        "I: two\n",
    ):
        reader(line)
    reader("envbuild-architecture: amd64\n")
    assert shown == ["I: one\n", "I: two\n"]
    assert reader.answer() == debian.MadeOf("'u' f 1 SHA256:2\n", frozenset({"adduser"}), "amd64")


@pytest.mark.skipif(not os.path.exists("/usr/bin/dpkg-deb"), reason="needs dpkg-deb")
def test_the_repository_says_which_packages_were_asked_for(tmp_path):
    made = {}
    for name in ("asked", "pulled"):
        root = tmp_path / name
        (root / "DEBIAN").mkdir(parents=True)
        control = f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b>\nDescription: x\n"
        (root / "DEBIAN/control").write_text(f"{control}Priority: extra\n")
        archive = tmp_path / f"{name}.deb"
        subprocess.run(["dpkg-deb", "--root-owner-group", "-b", root, archive], check=True, capture_output=True)
        digest = f"sha256:{hashlib.sha256(archive.read_bytes()).hexdigest()}"
        made[name] = Package(name, "1", digest, f"debian/pool/{name}_1_all.deb"), str(archive)
    folder = tmp_path / "repository"
    folder.mkdir()
    packages = BasePackages((made["asked"][0],), (made["pulled"][0],))
    paths = {package.hash: path for package, path in made.values()}
    write_repository(str(folder), "bookworm", packages, paths, 1_700_000_000)
    index = (folder / "Packages").read_bytes()
    by_name = {fields["package"]: fields for fields in stanzas(index.decode())}
    assert {name: fields["priority"] for name, fields in by_name.items()} == {"asked": "required", "pulled": "optional"}
    release = (folder / "Release").read_text()
    assert "Codename: bookworm\n" in release
    assert "Date: Tue, 14 Nov 2023 22:13:20 UTC\n" in release
    assert hashlib.sha256(index).hexdigest() in release
    assert sorted(os.listdir(folder)) == ["Packages", "Release", "asked_1_all.deb", "pulled_1_all.deb"]


@pytest.mark.mirror
@pytest.mark.slow
def test_an_unknown_suite_fails_with_apts_own_reason(tmp_path):
    with pytest.raises(MirrorFailed) as caught:
        prepare_debian("nosuchsuite", str(tmp_path), progress=silent)
    assert "nosuchsuite" in caught.value.message
    assert "E: " in caught.value.message


@pytest.mark.mirror
@pytest.mark.nightly
@pytest.mark.root
def test_an_ordinary_user_makes_the_same_tree(bookworm):
    """Needs a user with a range of ids; none is made for it. Daily, CI's users compare what they made, above."""
    import pwd

    from envbuild.linux.subids import subordinate_range, why_not_range

    users = [
        account
        for account in pwd.getpwall()
        if account.pw_uid >= 1000 and subordinate_range("/etc/subuid", account.pw_uid)
    ]
    user = next((account for account in users if not why_not_range(account.pw_uid)), None)
    if user is None:
        pytest.skip("no user has a range in /etc/subuid")
    work = f"/tmp/envbuild-test-{os.getpid()}"
    os.mkdir(work)
    os.chown(work, user.pw_uid, user.pw_gid)

    def make_it_too() -> None:
        become(user.pw_uid, user.pw_gid)
        os.environ.update(HOME=work, USER=user.pw_name)
        assert in_memory(prepare_debian("bookworm", work, progress=lambda line: None)).entries == bookworm.entries

    try:
        in_child(make_it_too)
    finally:
        subprocess.run(["rm", "-rf", work], check=True)
