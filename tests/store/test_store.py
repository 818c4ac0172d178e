"""The store by itself: what is kept, how often, and what is found again."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import stat
import sys
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from envbuild.images.find import AmbiguousDigest, NoSuchImage, resolve
from envbuild.linux.rmtree import remove
from envbuild.store.database import StoreDamaged, StoreFull, StoreInUse
from envbuild.store.fsck import check
from envbuild.store.gc import collect
from envbuild.store.images import Image
from envbuild.store.reachability import Pins
from envbuild.store.snapshot import Snapshot
from envbuild.store.step_cache import ContentChanged, Source, StepRecord
from envbuild.store.store import Store
from envbuild.store.upper import ContentElsewhere
from envbuild.tree.apply import Edit, edit
from envbuild.tree.entry import DIRECTORY, EMPTY_CONTENT, FILE, Entry, mark, object_id
from envbuild.tree.lookup import lookup, walk
from envbuild.tree.patterns import compile_patterns
from envbuild.tree.times import StepTimes
from tests.in_namespace import run_inside

pytestmark = pytest.mark.namespaces
T = 1_600_000_000
NS = T * 10**9


def inside(test: Callable[[Store], None]) -> Callable[[Path], None]:
    """Has a test run in a child process, as working on a store takes a namespace, with a store of its own."""

    def outside(tmp_path: Path) -> None:
        def body() -> None:
            test(Store.open(str(tmp_path / "store")))

        run_inside(body)

    outside.__name__, outside.__doc__ = test.__name__, test.__doc__
    return outside


def tree(store: Store, **files: str) -> str:
    builder = store.builder()
    builder.add(b"", Entry(b".", DIRECTORY, 0o755, 0, 0, NS))
    for name, content in files.items():
        builder.add(name.replace("__", "/").encode(), Entry(b"", FILE, 0o644, 0, 0, NS), content.encode())
    return builder.finish(NS)


def run(store: Store, parent: str, change: Callable[[str], None], **options: object) -> Snapshot:
    """What a command does, without one: changes in the upper directory alone."""
    with store.workspace(parent) as space:
        change(space.upper)
        return store.snapshot(space, parent, times=StepTimes(T, None, sys.maxsize, sys.maxsize), **options)


def paths(store: Store, digest: str) -> dict[str, Entry]:
    return {path.decode(): entry for path, entry in walk(store.trees, digest)}


def put(path: str, text: str) -> None:
    Path(path).write_text(text)


def get(path: str) -> str:
    return Path(path).read_text()


def inodes(layers: tuple[str, ...]) -> list[os.stat_result]:
    return [os.lstat(os.path.join(at, name)) for layer in layers for at, _, names in os.walk(layer) for name in names]


@pytest.mark.user
@inside
def test_a_snapshot_is_the_parent_and_what_was_written(store):
    base = tree(store, a="1", d__b="2")

    def change(upper):
        put(f"{upper}/new", "x")
        os.mkdir(f"{upper}/d")
        put(f"{upper}/d/c", "3")

    shot = run(store, base, change)
    entries = paths(store, shot.tree)
    assert set(entries) == {"a", "d", "d/b", "d/c", "new"}
    assert (shot.files, shot.size) == (2, 2), shot
    assert all(entry.mtime <= NS for entry in entries.values())
    assert len(store.stacks.chain(shot.tree)) == 1 or store.layers(shot.tree)


@pytest.mark.user
@inside
def test_whiteouts_remove_and_opaque_directories_hide(store):
    base = tree(store, a="1", d__b="2", d__c="3", e__f="4")

    def change(upper):
        os.mknod(f"{upper}/a", stat.S_IFCHR, 0)
        os.mkdir(f"{upper}/d")
        os.setxattr(f"{upper}/d", "user.overlay.opaque", b"y")
        put(f"{upper}/d/only", "x")

    shot = run(store, base, change)
    assert set(paths(store, shot.tree)) == {"d", "d/only", "e", "e/f"}
    assert not any(entry.xattrs for entry in paths(store, shot.tree).values())


@pytest.mark.user
@inside
def test_what_overlayfs_keeps_elsewhere_is_refused(store):
    base = tree(store, a="1", d__b="2")

    def metacopy(upper):
        put(f"{upper}/a", "")
        os.setxattr(f"{upper}/a", "user.overlay.metacopy", b"")

    def redirect(upper):
        os.mkdir(f"{upper}/e")
        os.setxattr(f"{upper}/e", "user.overlay.redirect", b"d")

    for change in (metacopy, redirect):
        with pytest.raises(ContentElsewhere, match="only a part"):
            run(store, base, change)


@pytest.mark.user
@inside
def test_marks_of_one_mount_are_in_neither_tree_nor_layer(store):
    base = tree(store, a="1", d__b="2")

    def change(upper):
        put(f"{upper}/a", "new")
        os.setxattr(f"{upper}/a", "user.overlay.origin", b"x")
        os.mkdir(f"{upper}/d")
        os.setxattr(f"{upper}/d", "user.overlay.impure", b"y")
        put(f"{upper}/d/c", "3")

    shot = run(store, base, change)
    assert not any(entry.xattrs for entry in paths(store, shot.tree).values())
    layer = store.layers(shot.tree)[0]
    assert [os.listxattr(f"{layer}/{name}") for name in ("a", "d", "d/c")] == [[], [], []]


@inside
def test_a_command_that_changes_nothing_gives_the_same_tree_and_no_layer(store):
    base = tree(store, a="1", d__b="2")
    store.layers(base)

    def change(upper):
        os.mkdir(f"{upper}/d")
        os.chmod(f"{upper}/d", 0o755)
        put(f"{upper}/d/b", "2")
        for path in (f"{upper}/d/b", f"{upper}/d"):
            os.chmod(path, 0o644 if path.endswith("b") else 0o755)
            os.utime(path, ns=(NS, NS))
        os.utime(upper, ns=(NS, NS))

    before = os.listdir(store.stacks.path)
    assert run(store, base, change).tree == base
    assert os.listdir(store.stacks.path) == before
    assert os.listdir(store.work.path) in ([], [os.path.basename(store.work._shared)])


@pytest.mark.user
@inside
def test_discarded_paths_and_empty_mount_points_are_left_out(store):
    base = tree(store, a="1")

    def change(upper):
        os.makedirs(f"{upper}/log")
        put(f"{upper}/log/x", "x")
        os.makedirs(f"{upper}/mnt/point")
        put(f"{upper}/file", "")
        put(f"{upper}/kept", "")

    shot = run(store, base, change, discard=compile_patterns(["/log/*"]), made=["/mnt/point", "/file"])
    assert set(paths(store, shot.tree)) == {"a", "log", "mnt", "kept"}


@pytest.mark.user
@inside
def test_sockets_are_not_kept_and_fifos_and_links_are(store):
    base = tree(store)

    def change(upper):
        os.mkfifo(f"{upper}/fifo")
        os.symlink("nowhere", f"{upper}/link")
        os.chdir(upper)
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind("sock")
        os.chdir("/")

    assert {path: entry.kind for path, entry in paths(store, run(store, base, change).tree).items()} == {
        "fifo": "p",
        "link": "l",
    }


@pytest.mark.user
@inside
def test_equal_files_are_one_inode_across_trees_and_separate_in_one(store):
    tree_digest = tree(store, a="same" * 100, b="same" * 100)
    two = tree(store, c="same" * 100)
    first, second = inodes(store.layers(tree_digest)), inodes(store.layers(two))
    assert len({s.st_ino for s in first}) == 2
    assert second[0].st_ino in {s.st_ino for s in first}

    def change(upper):
        put(f"{upper}/copy", "same" * 100)
        os.chmod(f"{upper}/copy", 0o644)
        os.utime(f"{upper}/copy", ns=(NS, NS))

    shot = run(store, tree_digest, change)
    everything = inodes(store.layers(shot.tree))
    assert len({s.st_ino for s in everything}) == len(everything) == 3


@inside
def test_files_of_a_tree_are_counted_wherever_they_lie(store):
    def content(name: str) -> Entry:
        return Entry(name.encode(), FILE, 0o644, 0, 0, T, 0, EMPTY_CONTENT)

    inner = store.trees.save([content("a"), content("b")])
    folders = [Entry(name, DIRECTORY, 0o755, 0, 0, T, 0, inner) for name in (b"one", b"two")]
    deep = store.trees.save([*folders, content("c")])
    root = store.trees.save([*folders, Entry(b"deep", DIRECTORY, 0o755, 0, 0, T, 0, deep), content("d")])
    assert store.trees.marks(root) == {mark(content("")): 10}
    store.database.write("DELETE FROM trees WHERE digest = ?", (inner,))
    store.trees.forget()
    with pytest.raises(StoreDamaged, match=f"directory {inner[:12]} is missing"):
        store.trees.marks(root)


@inside
def test_several_names_of_one_file_become_separate_files(store):
    base = tree(store)

    def change(upper):
        put(f"{upper}/a", "linked")
        os.link(f"{upper}/a", f"{upper}/b")
        os.link(f"{upper}/a", f"{upper}/c")

    shot = run(store, base, change)
    entries = paths(store, shot.tree)
    assert {entry.digest for entry in entries.values()} == {sha256(b"linked").hexdigest()}
    everything = inodes(store.layers(shot.tree))
    assert len({s.st_ino for s in everything}) == len(everything) == 3


@inside
def test_a_tree_without_a_stack_gets_one_small_layer_on_the_nearest(store):
    files = {f"f{n}": str(n) for n in range(50)}
    base = tree(store, **files)
    store.layers(base)
    new = store.objects.add(Entry(b"", FILE, 0o644, 0, 0, NS), b"new")
    deep = store.objects.add(Entry(b"", FILE, 0o600, 0, 0, NS), b"y")
    edits = [Edit(b"f7", new), Edit(b"f8", None), Edit(b"deep/er/x", deep)]
    changed = edit(store.trees, base, edits, NS)
    layers = store.layers(changed, [base])
    assert len(layers) == 2
    assert sorted(os.listdir(layers[0])) == ["deep", "f7", "f8"]
    whiteout = os.lstat(f"{layers[0]}/f8")
    assert (whiteout.st_rdev, stat.S_IFMT(whiteout.st_mode)) == (0, stat.S_IFCHR)
    assert store.layers(changed) == layers


@pytest.mark.user
@inside
def test_deep_stacks_are_folded(store):
    at = tree(store, a="1")
    for number in range(120):

        def change(upper, number=number):
            put(f"{upper}/f{number}", str(number))

        at = run(store, at, change).tree
        assert len(store.layers(at)) <= 49
    assert len(paths(store, at)) == 121


@inside
def test_damaged_content_is_put_aside_and_never_served(store):
    digest = tree(store, a="content")
    entry = lookup(store.trees, digest, b"a")
    path = store.objects.where(object_id(entry))

    def damaged(act, text):
        with pytest.raises(StoreDamaged, match=text):
            act()

    def later():
        """What another process has, which has not seen yet that the object is sound."""
        return Store.open(store.path)

    for change in ("Content", "cut", ""):
        put(path, change)
        os.utime(path, ns=(entry.mtime, entry.mtime))
        with later() as other:
            attributes = len(change) != len("content")
            damaged(lambda o=other: o.objects.open(entry), "attributes" if attributes else "not what its digest says")
            assert not os.path.exists(path)
            assert other.leads_to_lost(digest)
            other.objects.add(entry, b"content")
            assert not other.leads_to_lost(digest)
    os.unlink(path)
    with later() as other:
        damaged(lambda: other.objects.open(entry), "missing")
    store.database.write("UPDATE trees SET body = x'00' WHERE digest = ?", (digest,))
    store.trees.forget()
    damaged(lambda: store.trees.load(digest), "not what its digest says")
    damaged(lambda: store.trees.load(digest), "missing")
    assert len(os.listdir(f"{store.path}/damaged")) == 3


@inside
def test_a_file_that_changes_while_it_is_copied_is_noticed(store):
    entry = Entry(b"f", FILE, 0o644, 0, 0, NS, 3, sha256(b"old").hexdigest())
    reading, writing = os.pipe()
    os.write(writing, b"new")
    os.close(writing)
    with pytest.raises(ContentChanged):
        store.objects.add(entry, reading)
    assert not store.objects.has(entry)


@pytest.mark.user
@inside
def test_files_keep_owner_mode_time_and_attributes(store):
    entry = Entry(b"f", FILE, 0o4751, 0, 0, NS + 5, xattrs=((b"user.x", b"y"),))
    stored = store.objects.add(entry, b"data")
    status = os.stat(store.objects.where(object_id(stored)))
    assert (status.st_mode & 0o7777, status.st_mtime_ns) == (0o4751, NS + 5)
    assert os.getxattr(store.objects.where(object_id(stored)), "user.x") == b"y"
    other = store.objects.alter(stored, stored._replace(mode=0o600))
    assert os.stat(store.objects.where(object_id(other))).st_mode & 0o7777 == 0o600


@inside
def test_images_are_found_by_name_tag_and_unique_beginning(store):
    digest = tree(store, a="1")
    for name in ("aaaa1" + "0" * 59, "aaaa2" + "0" * 59):
        store.images.put(Image(name, digest, "{}", "{}", 1.0))
    store.tags.move([("web", "latest")], "aaaa1" + "0" * 59, "test")
    store.tags.move([("web", "latest")], "aaaa2" + "0" * 59, "test")
    assert resolve(store, "web").digest.startswith("aaaa2")
    assert resolve(store, "web:latest").digest.startswith("aaaa2")
    assert resolve(store, "sha256:aaaa1").digest.startswith("aaaa1")
    for reference, kind in (("aaaa", AmbiguousDigest), ("bbbb", NoSuchImage)):
        with pytest.raises(kind):
            resolve(store, reference)
    with pytest.raises(NoSuchImage) as caught:
        resolve(store, "weg")
    assert "'web:latest'" in caught.value.hint or "'web'" in caught.value.hint
    assert store.database.rows("SELECT count(*) FROM history") == [(2,)]


@inside
def test_a_step_whose_tree_is_gone_is_not_cached(store):
    digest = tree(store, a="1")
    store.steps.put("k", StepRecord(digest, "o", 1.0, False), "run", Source("/r.env", "1", 0, "{}"))
    assert store.steps.get("k") == StepRecord(digest, "o", 1.0, False)
    store.database.write("DELETE FROM trees")
    assert store.steps.get("k") is None


@inside
def test_leftovers_of_dead_processes_are_removed_and_those_of_the_living_kept(store):
    os.makedirs(f"{store.work.path}/dead/upper/deep")
    os.chmod(f"{store.work.path}/dead/upper/deep", 0)
    put(f"{store.work.path}/step-x.lock", "")
    with store.work.workspace() as space, store.work.exclusive("mine"):
        child = os.fork()
        if child == 0:
            Store.open(store.path).tidy()
            os._exit(0)
        os.waitpid(child, 0)
        assert sorted(os.listdir(store.work.path)) == sorted([os.path.basename(space.path), "mine.lock"])
    assert os.listdir(store.work.path) == []


@inside
def test_gc_waits_for_nobody_if_told_so_and_keeps_what_is_tagged(store):
    kept, lost = tree(store, a="kept"), tree(store, b="lost")
    store.layers(kept)
    store.layers(lost)
    store.images.put(Image("1" * 64, kept, "{}", "{}", 1.0))
    store.tags.move([("web", "latest")], "1" * 64, "test")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        other = Store.open(store.path)
        other.share()
        os.write(writing, b"in")
        signal.pause()
    os.read(reading, 2)
    with pytest.raises(StoreInUse):
        collect(store, Pins, wait=False)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    freed = collect(store, Pins, wait=False)
    assert (freed.layers, freed.objects) == (1, 1), freed
    assert store.layers(kept)
    assert store.objects.read(lookup(store.trees, kept, b"a")) == b"kept"
    assert not store.trees.has(lost)


@inside
def test_parts_stay_as_long_as_their_files_do_and_are_counted_by_their_own_word(store):
    whole = tree(store, a="a", b__c="c")
    store.images.put(Image("1" * 64, whole, "{}", "{}", 1.0))
    store.tags.move([("web", "latest")], "1" * 64, "test")
    trees = {"near": tree(store, b__c="c"), "far": tree(store, b__c="c", d="gone")}
    store.steps.put_parts({key: StepRecord(digest, EMPTY_CONTENT, 0.0, True) for key, digest in trees.items()})
    store.steps.put("step", StepRecord(tree(store, e="e"), EMPTY_CONTENT, 1.0), "run", Source("/r.env", "1", 0, "{}"))
    for freed in (collect(store, Pins, dry_run=True), collect(store, Pins)):
        assert (freed.steps, freed.parts, freed.objects) == (1, 1, 2), freed
    assert [key for key, _ in store.steps.parts()] == ["near"]
    assert store.steps.get("near") is not None
    collect(store, Pins, budget=1)
    assert [key for key, _ in store.steps.parts()] == ["near"], "it takes no room"


def test_a_newer_format_is_refused_in_words(project):
    assert project.command("images").code == 0
    database = sqlite3.connect(project.store / "store.db")
    database.execute("PRAGMA user_version = 99")
    database.close()
    done = project.command("images")
    assert (done.code, "has format 99" in done.err) == (2, True)


@pytest.mark.user
@inside
def test_directories_as_deep_as_a_path_can_be_are_removed(store):
    os.mkdir(f"{store.work.path}/x")
    at = os.open(f"{store.work.path}/x", os.O_RDONLY)
    for _ in range(2500):
        os.mkdir("d", dir_fd=at)
        inner = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = inner
    os.close(at)
    remove(f"{store.work.path}/x")
    assert os.listdir(store.work.path) == []


@inside
def test_a_database_that_grows_full_within_a_transaction_says_so_and_goes_on(store):
    """SQLite then rolls back by itself, and there is nothing left to roll back."""
    (pages,) = store.database.row("PRAGMA page_count")
    store.database.rows(f"PRAGMA max_page_count={pages + 5}")

    def fill():
        with store.database.transaction():
            for number in range(50):
                store.database.write("INSERT INTO memo VALUES ('big', ?, ?)", (str(number), bytes(5000)))

    with pytest.raises(StoreFull, match="database or disk is full"):
        fill()
    assert store.database.row("SELECT count(*) FROM memo WHERE kind = 'big'") == (0,)
    store.memo.put("small", "", b"1")
    assert store.memo.get("small", "") == b"1"


@inside
def test_a_stack_that_others_make_meanwhile_is_not_built_upon_itself(store):
    """As two stages of a build do that start from one base, or two builds."""
    base, near = tree(store, a="1"), tree(store, a="2")
    ask, asked = store.stacks.chain, []

    def chain(digest):
        answer = ask(digest)
        asked.append(digest)
        if len(asked) == 1:
            other = Store.open(store.path)
            other.layers(base)
            other.layers(near, (base,))
            other.close()
        return answer

    store.stacks.chain = chain
    first = store.layers(base, (base, near))
    assert asked[0] == base
    assert dict(store.database.rows("SELECT tree, below FROM stacks")) == {
        base: None,
        near: base,
    }
    again = Store.open(store.path)
    assert again.layers(base) == first
    assert len(again.layers(near)) == 2


@inside
def test_a_stack_that_stands_on_itself_is_made_anew(store):
    """Stores of before may have one: whoever followed it did so without an end."""
    base, top = tree(store, a="1"), tree(store, a="2")
    store.layers(base)
    store.layers(top, (base,))
    store.database.write("UPDATE stacks SET below = ? WHERE tree = ?", (top, base))
    store.close()
    again = Store.open(store.path)
    assert [get(f"{folder}/a") for folder in again.layers(top)[:1]] == ["2"]
    assert [get(f"{folder}/a") for folder in again.layers(base)[:1]] == ["1"]
    assert not check(again, lambda repair: [], lambda what, done, total: None).problems


@pytest.mark.user
@inside
def test_a_checkout_is_the_whole_tree_in_one_directory(store):
    base = tree(store, a="equal", b="equal", d__old="old", gone="gone")
    store.layers(base)

    def change(upper):
        os.mkdir(f"{upper}/d")
        put(f"{upper}/d/new", "new")
        put(f"{upper}/c", "equal")
        os.chown(f"{upper}/c", 7, 8)
        os.chmod(f"{upper}/c", 0o4711)
        os.setxattr(f"{upper}/c", "user.kind", b"odd")
        os.symlink("d/new", f"{upper}/link")
        os.mkfifo(f"{upper}/pipe", 0o640)
        os.mknod(f"{upper}/gone", 0o20000, 0)

    top = run(store, base, change).tree
    assert len(store.layers(top)) == 2
    store.stacks.fold(top)
    (folder,) = store.layers(top)
    assert sorted(os.listdir(folder)) == ["a", "b", "c", "d", "link", "pipe"]
    assert sorted(os.listdir(f"{folder}/d")) == ["new", "old"]
    assert get(f"{folder}/d/old") == "old"
    status = os.stat(f"{folder}/c")
    assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o4711, 7, 8)
    assert os.getxattr(f"{folder}/c", "user.kind") == b"odd"
    assert os.readlink(f"{folder}/link") == "d/new"
    assert {path: os.lstat(f"{folder}/{path}").st_mtime_ns for path in paths(store, top) if path} == {
        path: entry.mtime for path, entry in paths(store, top).items() if path
    }
    status, two = os.stat(f"{folder}/a"), os.stat(f"{folder}/b")
    assert status.st_ino != two.st_ino
    assert min(status.st_nlink, two.st_nlink) > 1
    assert store.layers(base) != (folder,)

    # What is built on it stands on it.
    higher = run(store, top, lambda upper: put(f"{upper}/e", "equal")).tree
    assert store.layers(higher)[1:] == (folder,)
    assert os.stat(f"{store.layers(higher)[0]}/e").st_ino not in (status.st_ino, two.st_ino)


@inside
def test_a_checkout_is_kept_while_its_tree_is_and_what_it_replaced_goes(store):
    base = tree(store, a="1", b="2")
    store.layers(base)
    top = run(store, base, lambda upper: os.symlink("3", f"{upper}/c")).tree
    store.layers(top)
    store.stacks.fold(top)
    folded = store.layers(top)
    store.images.put(Image("1" * 64, top, "{}", "{}", 1.0))
    store.tags.move([("web", "latest")], "1" * 64, "test")
    collect(store, Pins)
    assert store.layers(top) == folded
    assert os.listdir(f"{store.path}/layers") == [os.path.basename(folded[0])]
    assert not check(store, lambda repair: [], lambda what, done, total: None).problems
    store.tags.remove("web", "latest", "test", force=True)
    store.database.write("DELETE FROM history")
    collect(store, Pins)
    assert os.listdir(f"{store.path}/layers") == []


@inside
def test_damage_in_a_checkout_is_noticed_before_it_is_shown(store):
    base = tree(store, a="1", b="2")
    store.layers(base)
    top = run(store, base, lambda upper: os.symlink("3", f"{upper}/c")).tree
    store.layers(top)
    store.stacks.fold(top)
    (folder,) = store.layers(top)
    time.sleep(0.05)
    os.unlink(f"{folder}/a")
    put(f"{folder}/a", "X")
    store.close()
    again = Store.open(store.path)
    layers = again.layers(top)
    assert folder not in layers
    assert "put aside" in again.take_notes()[0]
    assert [get(f"{diff_layer}/a") for diff_layer in layers if os.path.exists(f"{diff_layer}/a")] == ["1"]
