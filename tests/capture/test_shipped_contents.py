"""Contents that a light capture left in packages: brought from apt's archives, and only what their digests say."""

from __future__ import annotations

import subprocess
from hashlib import sha256
from pathlib import Path

import pytest

from envbuild.capture import shipped_contents
from envbuild.store import supplier
from envbuild.store.promised import ContentPromised, Promise
from envbuild.store.store import Store
from envbuild.tree.entry import FILE, Entry, object_id


def archive(folder: Path, name: str, files: dict[str, str], links: dict[str, str] | None = None) -> Path:
    """Makes a package of version 1:2.0 in `folder`, under the name that apt gives its archive."""
    root = folder / f"root-{name}"
    (root / "DEBIAN").mkdir(parents=True)
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    for path, target in (links or {}).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).hardlink_to(root / target)
    control = f"Package: {name}\nVersion: 1:2.0\nArchitecture: all\nMaintainer: A <a@b.test>\nDescription: {name}\n"
    (root / "DEBIAN/control").write_text(control)
    path = folder / f"{name}_1%3a2.0_all.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", root, path], check=True, capture_output=True)
    return path


def promise(package: str, path: str, text: str, mode: int = 0o644) -> Promise:
    digest = sha256(text.encode()).hexdigest()
    return Promise(Entry(b"x", FILE, mode, 0, 0, 5, len(text), digest), package, "1:2.0", "all", path)


@pytest.fixture
def archives(tmp_path, monkeypatch) -> Path:
    """The directory of apt's archives; nothing else has packages."""
    folder = tmp_path / "archives"
    folder.mkdir()
    monkeypatch.setattr(shipped_contents, "ARCHIVES", str(folder))
    monkeypatch.setattr(shipped_contents, "_PROGRAM", "no-such-program")
    return folder


@pytest.fixture
def store(tmp_path, archives, monkeypatch):
    downloads = tmp_path / "downloads"
    downloads.mkdir()

    def supply(promises, objects):
        shipped_contents.bring(promises, objects, str(downloads), lambda what, done, of: None)

    monkeypatch.setattr(supplier, "supplier", supply)
    with Store.open(str(tmp_path / "store")) as opened:
        opened.owners_observable = False
        yield opened


def test_a_promised_content_is_brought_with_all_that_its_package_promised(store, archives):
    archive(archives, "jq", {"usr/bin/jq": "program\n", "usr/share/jq": "text\n"})
    program, text = promise("jq", "usr/bin/jq", "program\n", 0o755), promise("jq", "usr/share/jq", "text\n")
    store.promised.add([program, text])
    assert not store.objects.has(text.entry)
    assert store.objects.read(program.entry) == b"program\n"
    assert store.objects.has(text.entry)
    assert store.lost.identities() == set()


def test_two_names_of_a_file_are_brought_by_either_of_them(store, archives):
    archive(archives, "git", {"usr/bin/git": "git\n"}, {"usr/lib/git-add": "usr/bin/git"})
    names = [promise("git", "usr/bin/git", "git\n", 0o755), promise("git", "usr/lib/git-add", "git\n", 0o711)]
    store.promised.add(names)
    assert [store.objects.read(name.entry) for name in names] == [b"git\n", b"git\n"]


def test_what_an_archive_has_in_its_place_is_not_taken(store, archives):
    archive(archives, "jq", {"usr/bin/jq": "another program\n"})
    wanted = promise("jq", "usr/bin/jq", "program\n")
    store.promised.add([wanted])
    with pytest.raises(ContentPromised) as refused:
        store.objects.read(wanted.entry)
    assert "jq 1:2.0, which can't be had: its archive has another content" in refused.value.message
    assert "jq_1%3a2.0_all.deb" in refused.value.hint
    assert not store.objects.has(wanted.entry)


@pytest.mark.parametrize("damage", [b"", b"!<arch>\n", b"nothing"])
def test_a_damaged_archive_gives_nothing(store, archives, damage):
    (archives / "jq_1%3a2.0_all.deb").write_bytes(damage)
    wanted = promise("jq", "usr/bin/jq", "program\n")
    store.promised.add([wanted])
    with pytest.raises(ContentPromised):
        store.objects.read(wanted.entry)


@pytest.mark.parametrize("package", ["../../etc/shadow", "-o=x", "jq=1", ""])
def test_a_name_that_is_no_package_is_no_path_and_no_option(store, package):
    wanted = promise(package, "usr/bin/jq", "program\n")
    store.promised.add([wanted])
    with pytest.raises(ContentPromised):
        store.objects.read(wanted.entry)


def test_a_promise_is_neither_lost_nor_damage_and_goes_with_what_needs_it(store):
    wanted = promise("jq", "usr/bin/jq", "program\n")
    store.promised.add([wanted])
    tree = store.trees.save([wanted.entry])
    assert [kept.path for kept in store.promised.missing(store.trees, tree, store.objects)] == ["usr/bin/jq"]
    store.promised.keep([object_id(wanted.entry)])
    assert store.promised.any()
    store.promised.keep([])
    assert not store.promised.any()
