"""The store by itself: what is kept, how often, and what is found again. In child processes, as working on a store
takes a namespace."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

pytestmark = [pytest.mark.namespaces, pytest.mark.user]

PRELUDE = """
import os, sys
from hashlib import sha256
from envbuild.sandbox.user_namespace import enter_user_namespace
from envbuild.store.store import Store
from envbuild.store.step_cache import Source, StepRecord
from envbuild.store.images import Image
from envbuild.tree.entry import *
from envbuild.tree.lookup import lookup, walk
from envbuild.tree.patterns import compile_patterns
from envbuild.tree.apply import Edit, edit
from envbuild.tree.times import StepTimes
enter_user_namespace()
T = 1_600_000_000
NS = T * 10**9
store = Store.open(sys.argv[1])

def tree(**files):
    builder = store.builder()
    builder.add(b"", Entry(b".", DIRECTORY, 0o755, 0, 0, NS))
    for name, content in files.items():
        builder.add(name.replace("__", "/").encode(), Entry(b"", FILE, 0o644, 0, 0, NS), content.encode())
    return builder.finish(NS)

def run(parent, change, **options):
    "What a command does, without one: changes in the upper directory alone."
    with store.workspace(parent) as space:
        change(space.upper)
        return store.snapshot(space, parent, times=StepTimes(T, None, sys.maxsize), **options)

def paths(digest):
    return {path.decode(): entry for path, entry in walk(store.trees, digest)}

def put(path, text):
    with open(path, "w") as file: file.write(text)

def get(path):
    with open(path) as file: return file.read()

def inodes(layers):
    return [os.stat(os.path.join(w, n), follow_symlinks=False) for l in layers for w, _, ns in os.walk(l) for n in ns]
"""


@pytest.fixture
def inside(tmp_path):
    """Runs a script with a store in a namespace; its asserts are the test's."""

    def run(script: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", PRELUDE + textwrap.dedent(script), str(tmp_path / "store")],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONWARNINGS": "error"},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_a_snapshot_is_the_parent_and_what_was_written(inside):
    inside("""
        base = tree(a="1", d__b="2")
        def change(upper):
            open(f"{upper}/new", "w").write("x")
            os.mkdir(f"{upper}/d"); open(f"{upper}/d/c", "w").write("3")
        shot = run(base, change)
        found = paths(shot.tree)
        assert set(found) == {"a", "d", "d/b", "d/c", "new"}
        assert (shot.files, shot.size) == (2, 2), shot
        assert all(entry.mtime <= NS for entry in found.values())
        assert len(store.stacks.chain(shot.tree)) == 1 or store.layers(shot.tree)
    """)


def test_whiteouts_remove_and_opaque_directories_hide(inside):
    inside("""
        import stat
        base = tree(a="1", d__b="2", d__c="3", e__f="4")
        def change(upper):
            os.mknod(f"{upper}/a", stat.S_IFCHR, 0)
            os.mkdir(f"{upper}/d"); os.setxattr(f"{upper}/d", "user.overlay.opaque", b"y")
            open(f"{upper}/d/only", "w").write("x")
        shot = run(base, change)
        assert set(paths(shot.tree)) == {"d", "d/only", "e", "e/f"}
        assert not any(entry.xattrs for entry in paths(shot.tree).values())
    """)


def test_a_command_that_changes_nothing_gives_the_same_tree_and_no_layer(inside):
    inside("""
        base = tree(a="1", d__b="2")
        store.layers(base)
        def change(upper):
            os.mkdir(f"{upper}/d"); os.chmod(f"{upper}/d", 0o755); open(f"{upper}/d/b", "w").write("2")
            for path in (f"{upper}/d/b", f"{upper}/d"):
                os.chmod(path, 0o644 if path.endswith("b") else 0o755); os.utime(path, ns=(NS, NS))
            os.utime(upper, ns=(NS, NS))
        before = os.listdir(store.stacks.path)
        assert run(base, change).tree == base
        assert os.listdir(store.stacks.path) == before
        assert os.listdir(store.work.path) in ([], [os.path.basename(store.work._shared)])
    """)


def test_discarded_paths_and_empty_mount_points_are_left_out(inside):
    inside("""
        base = tree(a="1")
        def change(upper):
            os.makedirs(f"{upper}/log"); open(f"{upper}/log/x", "w").write("x")
            os.makedirs(f"{upper}/mnt/point"); open(f"{upper}/file", "w").close(); open(f"{upper}/kept", "w").close()
        shot = run(base, change, discard=compile_patterns(["/log/*"]), made=["/mnt/point", "/file"])
        assert set(paths(shot.tree)) == {"a", "log", "mnt", "kept"}
    """)


def test_sockets_are_not_kept_and_fifos_and_links_are(inside):
    inside("""
        import socket
        base = tree()
        def change(upper):
            os.mkfifo(f"{upper}/fifo"); os.symlink("nowhere", f"{upper}/link")
            os.chdir(upper); s = socket.socket(socket.AF_UNIX); s.bind("sock"); s.close(); os.chdir("/")
        assert {p: e.kind for p, e in paths(run(base, change).tree).items()} == {"fifo": "p", "link": "l"}
    """)


def test_equal_files_are_one_inode_across_trees_and_separate_in_one(inside):
    inside("""
        one = tree(a="same" * 100, b="same" * 100)
        two = tree(c="same" * 100)
        first, second = inodes(store.layers(one)), inodes(store.layers(two))
        assert len({s.st_ino for s in first}) == 2
        assert second[0].st_ino in {s.st_ino for s in first}
        def change(upper):
            open(f"{upper}/copy", "w").write("same" * 100); os.chmod(f"{upper}/copy", 0o644)
            os.utime(f"{upper}/copy", ns=(NS, NS))
        shot = run(one, change)
        everything = inodes(store.layers(shot.tree))
        assert len({s.st_ino for s in everything}) == len(everything) == 3
    """)


def test_several_names_of_one_file_become_separate_files(inside):
    inside("""
        base = tree()
        def change(upper):
            with open(f"{upper}/a", "w") as file: file.write("linked")
            os.link(f"{upper}/a", f"{upper}/b"); os.link(f"{upper}/a", f"{upper}/c")
        shot = run(base, change)
        found = paths(shot.tree)
        assert {entry.digest for entry in found.values()} == {sha256(b"linked").hexdigest()}
        everything = inodes(store.layers(shot.tree))
        assert len({s.st_ino for s in everything}) == len(everything) == 3
    """)


def test_a_tree_without_a_stack_gets_one_small_layer_on_the_nearest(inside):
    inside("""
        files = {f"f{n}": str(n) for n in range(50)}
        base = tree(**files)
        store.layers(base)
        new = store.objects.add(Entry(b"", FILE, 0o644, 0, 0, NS), b"new")
        deep = store.objects.add(Entry(b"", FILE, 0o600, 0, 0, NS), b"y")
        edits = [Edit(b"f7", new), Edit(b"f8", None), Edit(b"deep/er/x", deep)]
        changed = edit(store.trees, base, edits, NS)
        layers = store.layers(changed, [base])
        assert len(layers) == 2
        assert sorted(os.listdir(layers[0])) == ["deep", "f7", "f8"]
        assert os.lstat(f"{layers[0]}/f8").st_rdev == 0 and os.lstat(f"{layers[0]}/f8").st_mode >> 12 == 2
        assert store.layers(changed) == layers
    """)


def test_deep_stacks_are_folded(inside):
    inside("""
        at = tree(a="1")
        for number in range(120):
            def change(upper):
                open(f"{upper}/f{number}", "w").write(str(number))
            at = run(at, change).tree
            assert len(store.layers(at)) <= 49
        assert len(paths(at)) == 121
    """)


def test_damaged_content_is_put_aside_and_never_served(inside):
    inside("""
        from envbuild.store.database import StoreDamaged
        digest = tree(a="content")
        entry = lookup(store.trees, digest, b"a")
        path = store.objects.where(object_id(entry))
        def damaged(act, text):
            try: act()
            except StoreDamaged as error: assert text in error.message, error.message
            else: raise AssertionError
        def later():
            # Another process, which has not seen yet that the object is sound.
            return Store.open(store.path)
        for change in ("Content", "cut", ""):
            open(path, "w").write(change)
            os.utime(path, ns=(entry.mtime, entry.mtime))
            with later() as other:
                attributes = len(change) != len("content")
                damaged(lambda: other.objects.open(entry), "attributes" if attributes else "not what its digest says")
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
    """)


def test_a_file_that_changes_while_it_is_copied_is_noticed(inside):
    inside("""
        from envbuild.store.objects import ContentChanged
        entry = Entry(b"f", FILE, 0o644, 0, 0, NS, 3, sha256(b"old").hexdigest())
        reading, writing = os.pipe(); os.write(writing, b"new"); os.close(writing)
        try: store.objects.add(entry, reading)
        except ContentChanged: pass
        else: raise AssertionError
        assert not store.objects.has(entry)
    """)


def test_files_keep_owner_mode_time_and_attributes(inside):
    inside("""
        owner = (0, 0) if not store.owners_observable else (0, 0)
        entry = Entry(b"f", FILE, 0o4751, 0, 0, NS + 5, xattrs=((b"user.x", b"y"),))
        stored = store.objects.add(entry, b"data")
        status = os.stat(store.objects.where(object_id(stored)))
        assert (status.st_mode & 0o7777, status.st_mtime_ns) == (0o4751, NS + 5)
        assert os.getxattr(store.objects.where(object_id(stored)), "user.x") == b"y"
        other = store.objects.alter(stored, stored._replace(mode=0o600))
        assert os.stat(store.objects.where(object_id(other))).st_mode & 0o7777 == 0o600
    """)


def test_images_are_found_by_name_tag_and_unique_beginning(inside):
    inside("""
        from envbuild.images.find import NoSuchImage, AmbiguousDigest, resolve
        digest = tree(a="1")
        for name in ("aaaa1" + "0" * 59, "aaaa2" + "0" * 59):
            store.images.put(Image(name, digest, "{}", "{}", 1.0))
        store.tags.move([("web", "latest")], "aaaa1" + "0" * 59, "test")
        store.tags.move([("web", "latest")], "aaaa2" + "0" * 59, "test")
        assert resolve(store, "web").digest.startswith("aaaa2")
        assert resolve(store, "web:latest").digest.startswith("aaaa2")
        assert resolve(store, "sha256:aaaa1").digest.startswith("aaaa1")
        for reference, kind in (("aaaa", AmbiguousDigest), ("bbbb", NoSuchImage), ("weg", NoSuchImage)):
            try: resolve(store, reference)
            except kind as error: found = error
            else: raise AssertionError
        assert "'web:latest'" in found.hint or "'web'" in found.hint
        assert store.database.rows("SELECT count(*) FROM history") == [(2,)]
    """)


def test_a_step_whose_tree_is_gone_is_not_cached(inside):
    inside("""
        digest = tree(a="1")
        store.steps.put("k", StepRecord(digest, "o", 1.0, False), "run", Source("/r.env", "1", 0, "{}"))
        assert store.steps.get("k") == StepRecord(digest, "o", 1.0, False)
        store.database.write("DELETE FROM trees")
        assert store.steps.get("k") is None
    """)


def test_leftovers_of_dead_processes_are_removed_and_those_of_the_living_kept(inside):
    inside("""
        os.makedirs(f"{store.work.path}/dead/upper/deep"); os.chmod(f"{store.work.path}/dead/upper/deep", 0)
        open(f"{store.work.path}/step-x.lock", "w").close()
        with store.work.workspace() as space, store.work.exclusive("mine"):
            child = os.fork()
            if child == 0:
                Store.open(sys.argv[1]).tidy(); os._exit(0)
            os.waitpid(child, 0)
            assert sorted(os.listdir(store.work.path)) == sorted([os.path.basename(space.path), "mine.lock"])
        assert os.listdir(store.work.path) == []
    """)


def test_gc_waits_for_nobody_if_told_so_and_keeps_what_is_tagged(inside):
    inside("""
        from envbuild.store.gc import collect
        from envbuild.store.reachability import Pins
        from envbuild.store.database import StoreInUse
        import json
        kept, lost = tree(a="kept"), tree(b="lost")
        store.layers(kept); store.layers(lost)
        store.images.put(Image("1" * 64, kept, "{}", "{}", 1.0))
        store.tags.move([("web", "latest")], "1" * 64, "test")
        child = os.fork()
        if child == 0:
            other = Store.open(sys.argv[1]); other.share()
            import time; time.sleep(60); os._exit(0)
        import time; time.sleep(0.3)
        try: collect(store, Pins, wait=False)
        except StoreInUse: pass
        else: raise AssertionError("somebody was in")
        os.kill(child, 9); os.waitpid(child, 0)
        freed = collect(store, Pins, wait=False)
        assert (freed.layers, freed.objects) == (1, 1), freed
        assert store.layers(kept) and store.objects.read(lookup(store.trees, kept, b"a")) == b"kept"
        assert not store.trees.has(lost)
    """)


def test_a_newer_format_is_refused_in_words(inside, tmp_path):
    inside("store.close()")
    import sqlite3

    database = sqlite3.connect(tmp_path / "store/store.db")
    database.execute("PRAGMA user_version = 99")
    database.close()
    done = subprocess.run(
        [sys.executable, "-m", "envbuild", "images"],
        env={**os.environ, "ENVBUILD_STORE": str(tmp_path / "store")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "has format 99" in done.stderr


def test_directories_as_deep_as_a_path_can_be_are_removed(inside):
    inside("""
        from envbuild.linux.rmtree import remove
        os.mkdir(f"{store.work.path}/x")
        at = os.open(f"{store.work.path}/x", os.O_RDONLY)
        for _ in range(6000):
            os.mkdir("d", dir_fd=at)
            inner = os.open("d", os.O_RDONLY, dir_fd=at); os.close(at); at = inner
        os.close(at)
        remove(f"{store.work.path}/x")
        assert os.listdir(store.work.path) == []
    """)


def test_a_database_that_grows_full_within_a_transaction_says_so_and_goes_on(inside):
    """SQLite then rolls back by itself, and there is nothing left to roll back."""
    inside("""
        from envbuild.store.database import StoreFull
        (pages,) = store.database.row("PRAGMA page_count")
        store.database.rows(f"PRAGMA max_page_count={pages + 5}")
        try:
            with store.database.transaction():
                for number in range(50):
                    store.database.write("INSERT INTO memo VALUES ('big', ?, ?)", (str(number), bytes(5000)))
            raise SystemExit("it took everything")
        except StoreFull as error:
            assert "database or disk is full" in error.message, error.message
        assert store.database.row("SELECT count(*) FROM memo WHERE kind = 'big'") == (0,)
        store.memo.put("small", "", b"1")
        assert store.memo.get("small", "") == b"1"
    """)


def test_a_checkout_is_the_whole_tree_in_one_directory(inside):
    inside("""
        base = tree(a="equal", b="equal", d__old="old", gone="gone")
        store.layers(base)
        def change(upper):
            os.mkdir(f"{upper}/d"); put(f"{upper}/d/new", "new")
            put(f"{upper}/c", "equal"); os.chown(f"{upper}/c", 7, 8); os.chmod(f"{upper}/c", 0o4711)
            os.setxattr(f"{upper}/c", "user.kind", b"odd")
            os.symlink("d/new", f"{upper}/link"); os.mkfifo(f"{upper}/pipe", 0o640)
            os.mknod(f"{upper}/gone", 0o20000, 0)
        top = run(base, change).tree
        assert len(store.layers(top)) == 2
        store.stacks.fold(top)
        (folder,) = store.layers(top)
        assert sorted(os.listdir(folder)) == ["a", "b", "c", "d", "link", "pipe"]
        assert sorted(os.listdir(f"{folder}/d")) == ["new", "old"] and get(f"{folder}/d/old") == "old"
        found = os.stat(f"{folder}/c")
        assert (found.st_mode & 0o7777, found.st_uid, found.st_gid) == (0o4711, 7, 8)
        assert os.getxattr(f"{folder}/c", "user.kind") == b"odd" and os.readlink(f"{folder}/link") == "d/new"
        assert {path: os.lstat(f"{folder}/{path}").st_mtime_ns for path in paths(top) if path} == {
            path: entry.mtime for path, entry in paths(top).items() if path}
        one, two = os.stat(f"{folder}/a"), os.stat(f"{folder}/b")
        assert one.st_ino != two.st_ino and one.st_nlink > 1 and two.st_nlink > 1
        assert store.layers(base) != (folder,)

        # What is built on it stands on it.
        higher = run(top, lambda upper: put(f"{upper}/e", "equal")).tree
        assert store.layers(higher)[1:] == (folder,)
        assert os.stat(f"{store.layers(higher)[0]}/e").st_ino not in (one.st_ino, two.st_ino)
    """)


def test_a_checkout_is_kept_while_its_tree_is_and_what_it_replaced_goes(inside):
    inside("""
        from envbuild.store.fsck import check
        from envbuild.store.gc import collect
        from envbuild.store.reachability import Pins
        base = tree(a="1", b="2")
        store.layers(base)
        top = run(base, lambda upper: os.symlink("3", f"{upper}/c")).tree
        before = store.layers(top)
        store.stacks.fold(top)
        folded = store.layers(top)
        store.images.put(Image("1" * 64, top, "{}", "{}", 1.0))
        store.tags.move([("web", "latest")], "1" * 64, "test")
        collect(store, Pins)
        assert store.layers(top) == folded and os.listdir(f"{sys.argv[1]}/layers") == [os.path.basename(folded[0])]
        assert not check(store, lambda repair: [], lambda what, done, total: None).problems
        store.tags.remove("web", "latest", "test", force=True)
        store.database.write("DELETE FROM history")
        collect(store, Pins)
        assert os.listdir(f"{sys.argv[1]}/layers") == []
    """)


def test_damage_in_a_checkout_is_noticed_before_it_is_shown(inside):
    inside("""
        import time
        base = tree(a="1", b="2")
        store.layers(base)
        top = run(base, lambda upper: os.symlink("3", f"{upper}/c")).tree
        store.layers(top); store.stacks.fold(top)
        (folder,) = store.layers(top)
        time.sleep(0.05)
        os.unlink(f"{folder}/a"); put(f"{folder}/a", "X")
        store.close(); store = Store.open(sys.argv[1])
        layers = store.layers(top)
        assert folder not in layers and "put aside" in store.take_notes()[0]
        assert [get(f"{one}/a") for one in layers if os.path.exists(f"{one}/a")] == ["1"]
    """)
