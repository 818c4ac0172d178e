"""Damage in the store: noticed before it is served, put aside, and made again."""

import os
import shutil
import sqlite3
import subprocess
import sys
import time

import pytest

from envbuild.store.layer_check import CLOCK_STEP
from tests.end_to_end.test_fetch import Server
from tests.faults import after_a_reboot, late_checks

pytestmark = pytest.mark.namespaces

RECIPE = ("run echo first > /first; echo shared > /shared", "file /etc/motd", "    a text", "run echo last > /last")


def objects(project) -> list:
    return sorted(path for path in (project.store / "objects").rglob("*") if path.is_file())


def holding(project, content: bytes):
    (object_path,) = [path for path in objects(project) if path.read_bytes() == content]
    return object_path


def flip(path, *, keep_time=True):
    """Changes one bit, and as a careful vandal would, sets the time back."""
    status = path.stat()
    with open(path, "r+b") as file:
        first = file.read(1)
        file.seek(0)
        file.write(bytes([first[0] ^ 1]))
    if keep_time:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def truncate(path):
    os.truncate(path, path.stat().st_size - 1)


def empty(path):
    os.truncate(path, 0)


def remove(path):
    path.unlink()


def damaged_files(project) -> int:
    folder = project.store / "damaged"
    return len(list(folder.iterdir())) if folder.exists() else 0


@pytest.fixture
def built(project):
    done = project.build(*RECIPE)
    assert done.code == 0, done.err
    project.first = done.image
    return project


@pytest.mark.parametrize("damage", [flip, truncate, empty])
def test_a_damaged_object_is_noticed_by_run_and_made_again_by_build(built, damage):
    for content in (b"first\n", b"a text\n", b"last\n"):
        damage(holding(built, content))
        ran = built.command("run", "web", "--", "true")
        assert ran.code == 1, (content, ran.err)
        assert "the store is damaged" in ran.err
        assert "build the recipe again" in ran.err
        # Nothing but the step that made it runs: the later ones come out of the cache again.
        again = built.build()
        assert again.code == 0, (content, again.err)
        assert len(again.ran) == 1, (content, again.ran)
        assert again.image == built.first, content
        shown = built.command("run", "web", "--", "cat", "/first", "/etc/motd", "/last")
        assert shown.out == "first\na text\nlast\n", content
        assert built.command("fsck").code == 0, content
    assert built.build().ran == []


def test_a_damaged_object_is_never_printed(built):
    for damage, name in ((flip, "first"), (truncate, "shared"), (empty, "last"), (remove, "motd")):
        path = "/etc/motd" if name == "motd" else f"/{name}"
        damage(holding(built, built.cat(path).encode()))
        shown = built.command("cat", "web", path)
        assert (shown.code, shown.out) == (1, ""), damage
        assert f"the store is damaged: the content of {name}" in shown.err


def test_a_damaged_object_of_the_base_makes_the_base_again(built):
    busybox = max(objects(built), key=lambda path: path.stat().st_size)
    flip(busybox)
    again = built.build("run echo other > /other", *RECIPE)
    assert again.code == 0, again.err
    assert "from tar:busybox.tar" in again.ran
    assert any("damaged" in notice["message"] for notice in again.of("notice"))
    assert built.command("run", "web", "--", "cat", "/other").out == "other\n"
    assert built.command("fsck").code == 0


def layer_holding(built, name: str):
    (layer,) = [path for path in (built.store / "layers").iterdir() if (path / name).exists()]
    return layer


def other_file(path):
    """Another inode in its place: the object itself is whole."""
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content.upper())


def other_mode(path):
    folder = path.parent
    folder.chmod(0o700)


def extra_file(path):
    (path.parent / "extra").write_text("extra")


def test_a_damaged_layer_is_made_again_from_its_objects(built):
    for damage in (remove, other_file, other_mode, extra_file):
        aside = damaged_files(built)
        damage(layer_holding(built, "first") / "first")
        ran = built.command("run", "web", "--", "sh", "-c", "cat /first /last; ls -ld / | cut -c1-10; ls /")
        assert ran.code == 0, (damage, ran.err)
        assert ran.out.startswith("first\nlast\ndrwxr-xr-x\n"), damage
        assert "extra" not in ran.out
        assert "warning: a layer was changed" in ran.err, damage
        assert damaged_files(built) > aside, damage
        assert built.command("run", "web", "--", "true").err == "", damage
        assert built.command("fsck").code == 0, damage


def test_a_layer_that_lost_a_whiteout_does_not_show_what_was_removed(built):
    assert built.build("run rm /etc/group", *RECIPE).code == 0
    layer = next(path for path in (built.store / "layers").iterdir() if (path / "etc/group").is_char_device())
    (layer / "etc/group").unlink()
    assert "group" not in built.command("run", "web", "--", "ls", "/etc").out


def test_a_damaged_directory_of_a_tree_is_made_again(built):
    with sqlite3.connect(built.store / "store.db") as database:
        (tree,) = [row[0] for row in database.execute("SELECT tree FROM images")]
        database.execute("UPDATE trees SET body = x'00ff' WHERE digest = ?", (tree,))
    database.close()
    assert built.command("ls", "web").code == 1
    again = built.build()
    assert again.code == 0, again.err
    assert again.ran == ["run echo last > /last"]
    assert again.image == built.first
    assert built.command("fsck").code == 0


def test_printed_output_of_a_step_is_verified(project):
    project.build("run echo hello; echo 1 > /a")
    flip(holding(project, b"hello\n"))
    done = project.command("output", "web", "2")
    assert done.code == 1
    assert "iello" not in done.out
    assert "the store is damaged" in done.err


def test_a_damaged_fetched_file_is_fetched_again(project):
    server = Server()
    server.files["/data"] = b"content\n"
    try:
        assert project.build(f"fetch {server.url}/data -> /data").code == 0
        for path in objects(project):
            if path.read_bytes() == b"content\n":
                flip(path)
        again = project.build("run true", f"fetch {server.url}/data -> /new/data")
        assert again.code == 0, again.err
        # The file in the tree is another object. It is read when somebody wants it, and not before.
        assert project.command("cat", "web", "/new/data").out == ""
        assert set(project.build().ran) == {f"fetch {server.url}/data -> /new/data"}
        assert project.cat("/new/data") == "content\n"
        assert server.asked == ["/data", "/data"]
    finally:
        server.close()


class TestDatabase:
    def overwrite(self, built, share: float):
        """A page of the database in which nothing makes sense any more."""
        path = built.store / "store.db"
        with sqlite3.connect(path) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.close()
        pages = path.stat().st_size // 4096
        with open(path, "r+b") as file:
            file.seek(4096 * max(1, int(pages * share)))
            file.write(b"\xa5" * 4096)

    def test_a_damaged_page_is_told_or_harmless_and_fsck_saves_the_rest(self, built):
        for share in (0.1, 0.3, 0.5, 0.7, 0.9):
            self.overwrite(built, share)
            for words in (("images",), ("run", "web", "--", "cat", "/first"), ("ls", "web")):
                done = built.command(*words)
                assert done.code in (0, 1, 2), (share, done.err)
                if words[0] == "run" and done.code == 0:
                    assert done.out == "first\n", share
            repaired = built.command("fsck", "--repair")
            assert repaired.code in (0, 1), (share, repaired.err)
            assert built.command("fsck").code == 0, share
            again = built.build()
            assert again.code == 0, (share, again.err)
            assert again.image == built.first, share
            assert built.command("run", "web", "--", "cat", "/first").out == "first\n", share

    def test_a_database_that_is_none_is_told_and_made_anew_by_fsck(self, built):
        for content in (b"", b"not a database at all" * 99):
            for name in ("store.db-wal", "store.db-shm"):
                (built.store / name).unlink(missing_ok=True)
            (built.store / "store.db").write_bytes(content)
            listing = built.command("images")
            assert listing.code == 1, (content, listing.err)
            assert "the store is damaged" in listing.err
            assert "envbuild fsck --repair" in listing.err
            assert built.command("fsck", "--repair").code == 0, content
            again = built.build()
            assert (again.code, again.image) == (0, built.first), (content, again.err)
            assert built.command("fsck").code == 0, content

    def test_a_newer_format_is_refused_in_words(self, built):
        with sqlite3.connect(built.store / "store.db") as database:
            database.execute("PRAGMA user_version = 99")
        database.close()
        for words in (("images",), ("build", "web.env"), ("fsck", "--repair"), ("gc",)):
            done = built.command(*words)
            assert done.code == 2
            assert "has format 99; this envbuild knows formats up to" in done.err

    def test_changed_facts_of_an_image_are_noticed(self, built):
        with sqlite3.connect(built.store / "store.db") as database:
            database.execute("UPDATE images SET facts = replace(facts, '{', '{\"user\":\"evil\",')")
        database.close()
        done = built.command("run", "web", "--", "id")
        assert done.code == 1
        assert "the store is damaged" in done.err
        again = built.build()
        assert (again.code, again.image) == (0, built.first)
        assert built.command("run", "web", "--", "id", "-u").out == "0\n"


def test_layers_are_read_in_full_after_an_unclean_boot(built):
    """What was not on disk for sure when the machine stopped may be empty now, with all its times right."""
    victim = layer_holding(built, "first") / "first"
    flip(victim)
    # Change times can't be set back; the record says that all was checked after that.
    with sqlite3.connect(built.store / "store.db") as database:
        database.execute("UPDATE stacks SET checked = ?, synced = 0", (time.time_ns() + CLOCK_STEP,))
    database.close()
    assert built.command("run", "web", "--", "cat", "/first").out == "girst\n"
    done = built.call(after_a_reboot.main, "run", "web", "--", "cat", "/first")
    assert done.returncode == 1
    assert "the store is damaged" in done.stderr


def test_what_a_tag_names_was_on_disk_before_the_tag_moved(built):
    with sqlite3.connect(built.store / "store.db") as database:
        assert database.execute("SELECT count(*) FROM stacks WHERE synced = 0").fetchone() == (0,)
    database.close()


class TestReadOnly:
    @pytest.fixture
    def locked(self, built):
        """A store that this user may not write, as one that an administrator provides."""
        if os.geteuid() == 0:
            pytest.skip("root may write everywhere; see the test with a read-only mount")
        # Not the files and folders of trees, whose modes are theirs.
        own = [built.store, *(built.store / name for name in ("objects", "layers", "work")), built.store / "store.db"]
        own += (built.store / "objects").iterdir()
        for path in own:
            path.chmod(path.stat().st_mode & ~0o222)
        yield built
        for path in own:
            path.chmod(path.stat().st_mode | 0o200)

    def test_it_runs_and_shows(self, locked):
        assert locked.command("images").code == 0
        assert locked.cat("/first") == "first\n"
        ran = locked.command("run", "web", "--", "cat", "/last")
        assert (ran.code, ran.out) == (0, "last\n"), ran.err
        done = locked.build("run echo 1 > /new", *RECIPE)
        assert done.code == 3
        assert "may only be read" in done.err

    @pytest.mark.root
    def test_on_a_read_only_file_system(self, built, tmp_path):
        mount = tmp_path / "mounted"
        mount.mkdir()
        script = (
            f"mount --bind {built.store} {mount} && mount -o remount,ro,bind {mount} && "
            f"export ENVBUILD_STORE={mount} && {sys.executable} -m envbuild images && "
            f"{sys.executable} -m envbuild run web -- cat /last && {sys.executable} -m envbuild show web > /dev/null; "
            f"status=$?; {sys.executable} -m envbuild build web.env --no-cache; echo $? $status"
        )
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", script],
            cwd=built.folder,
            env=built.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout.endswith("last\n3 0\n"), done.stdout + done.stderr
        assert "may only be read" in done.stderr


def test_a_store_that_was_moved_still_works(built):
    moved = built.store.parent / "elsewhere"
    shutil.move(built.store, moved)
    done = built.command("run", "web", "--", "cat", "/first", ENVBUILD_STORE=str(moved))
    assert done.out == "first\n", done.err


def test_damage_that_is_found_after_the_command_began_ends_it(project):
    # As in an image so large that the command begins before all is looked at.
    assert (
        project.build("run mkdir /many; i=0; while [ $i -lt 300 ]; do echo $i > /many/$i; i=$((i+1)); done").code == 0
    )
    fine = project.call(late_checks.main, "300", "run", "web", "--", "cat", "/many/7")
    assert (fine.returncode, fine.stdout) == (0, "7\n"), fine.stderr
    for command in (["true"], ["sleep", "100"], ["no-such-program"]):
        aside = damaged_files(project)
        other_file(layer_holding(project, "many") / "many" / "7")
        done = project.call(late_checks.main, "300", "run", "web", "--", *command)
        assert done.returncode == 1, command
        assert "files of the image were changed by something else (/many: it was changed)" in done.stderr, command
        assert project.command("ps", "--all", "--quiet").out == "", command
        assert damaged_files(project) > aside, command
        again = project.command("run", "web", "--", "cat", "/many/7")
        assert (again.code, again.out, again.err) == (0, "7\n", ""), command


def test_late_damage_that_can_not_be_mended_is_said(project):
    assert project.build("run mkdir /many; echo text > /many/7").code == 0
    flip(holding(project, b"text\n"))
    done = project.call(late_checks.main, "0", "run", "web", "--", "sleep", "100")
    assert done.returncode == 1
    assert "the store is damaged" in done.stderr
    assert project.build("run mkdir /many; echo text > /many/7").code == 0
    assert project.command("run", "web", "--", "cat", "/many/7").out == "text\n"
