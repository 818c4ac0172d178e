"""A machine that stops without a goodbye: what was not synced may be lost, in any combination that a disk allows.

A build is killed right before it moves the tag, so before anything of it is synced. Of what it wrote since the last
sync each file may then be there, be empty, hold zeros, be cut, or be gone, whatever became of the others; and the
database's log may end anywhere, as SQLite drops what follows the last whole commit (sqlite.org/wal.html).
"""

import os
import random
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest

from tests.conftest import first_then_nightly
from tests.faults import booted
from tests.faults.kept import digest_in

pytestmark = [pytest.mark.namespaces, pytest.mark.slow]

OLD = ("from tar:busybox.tar", "run echo old > /old")
NEW = (
    *OLD,
    "run echo first > /first; mkdir /d; echo in > /d/in; ln -s in /d/link",
    "copy app/ -> /app/",
    "run cat /first /app/* > /second; rm /old",
    "file /etc/motd",
    "    text",
    "run echo third > /third",
)
CONTENT = {
    "/first": "first\n",
    "/d/in": "in\n",
    "/second": "first\n0\n1\n2\n",
    "/etc/motd": "text\n",
    "/third": "third\n",
}


def envbuild(project, boot: str, *words: str, kill_at: str = ""):
    return project.call(booted.main, boot, kill_at, *words)


def files_of(store: Path) -> set[str]:
    """Every file and folder in which trees are kept, relative to the store."""
    names = set()
    for name in ("objects", "layers"):
        for where, folders, files in os.walk(store / name):
            names.update(os.path.relpath(os.path.join(where, inner), store) for inner in (*folders, *files))
    return names


def lose(path: Path, randomness: random.Random) -> None:
    """What a loss of power makes of something that was not synced."""
    fate = randomness.choice(["kept", "kept", "empty", "zeros", "cut", "gone"])
    if not path.is_symlink() and path.is_file():
        status = path.stat()
        if fate == "empty":
            os.truncate(path, 0)
        elif fate == "cut":
            os.truncate(path, status.st_size // 2)
        elif fate == "zeros":
            path.write_bytes(bytes(status.st_size))
        # Times are metadata, and were journaled.
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    if fate == "gone":
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def cut_log(store: Path, randomness: random.Random) -> None:
    """The write-ahead log ends somewhere; its index is in memory and is made anew."""
    log = store / "store.db-wal"
    (store / "store.db-shm").unlink(missing_ok=True)
    if log.exists() and log.stat().st_size:
        os.truncate(log, randomness.choice([log.stat().st_size, randomness.randrange(log.stat().st_size), 0]))


@pytest.fixture(scope="module")
def crashed(shared_project):
    """A store with an old image that is synced and a new one that was about to be tagged; a copy of it to begin with
    again."""
    project = shared_project
    for number in range(3):
        project.write(f"app/f{number}", str(number))
    new = project.build(*NEW, ENVBUILD_STORE=str(project.folder / "other"))
    assert new.code == 0, new.err
    (project.folder / "web.env.lock").unlink()
    project.write("web.env", *OLD)
    assert envbuild(project, "boot 1", "build", "web.env").returncode == 0
    # Closing the last connection wrote the log into the database: this is what a sync leaves.
    project.synced = files_of(project.store)
    project.write("web.env", *NEW)
    killed = envbuild(project, "boot 1", "build", "web.env", kill_at="tag moved")
    assert killed.returncode == -9
    project.new = new.image
    project.kept = project.folder / "kept"
    subprocess.run(["cp", "-a", project.store, project.kept], check=True)
    return project


def begin_again(project) -> None:
    subprocess.run(["rm", "-rf", project.store], check=True)
    subprocess.run(["cp", "-a", project.kept, project.store], check=True)


@pytest.mark.parametrize("batch", first_then_nightly(6, 1))
def test_whatever_a_loss_of_power_leaves_nothing_wrong_is_served(crashed, batch):
    for seed in range(5):
        what = f"batch {batch}, seed {seed}"
        randomness = random.Random(f"{batch} {seed}")
        begin_again(crashed)
        for name in sorted(files_of(crashed.store) - crashed.synced):
            path = crashed.store / name
            if os.path.lexists(path):
                lose(path, randomness)
        cut_log(crashed.store, randomness)
        # What a tag names was synced before the tag moved.
        old = envbuild(crashed, "boot 2", "run", "web", "--", "cat", "/old")
        assert (old.returncode, old.stdout) == (0, "old\n"), f"{what}: {old.stderr}"
        built = envbuild(crashed, "boot 2", "build", "web.env")
        assert built.returncode == 0, f"{what}: {built.stderr}"
        assert digest_in(crashed) == crashed.new, what
        ran = envbuild(crashed, "boot 2", "run", "web", "--", "cat", *CONTENT)
        assert (ran.returncode, ran.stdout) == (0, "".join(CONTENT.values())), f"{what}: {ran.stderr}"
        shown = envbuild(crashed, "boot 2", "cat", "web", *CONTENT)
        if shown.returncode:
            # A file that no step of this build looked at: told, not printed, and made again when asked for.
            assert "the store is damaged" in shown.stderr, f"{what}: {shown.stderr}"
            assert envbuild(crashed, "boot 2", "build", "web.env").returncode == 0, what
            shown = envbuild(crashed, "boot 2", "cat", "web", *CONTENT)
        assert shown.stdout == "".join(CONTENT.values()), f"{what}: {shown.stderr}"
        repaired = envbuild(crashed, "boot 2", "fsck", "--repair")
        assert repaired.returncode == 0, f"{what}: {repaired.stdout}{repaired.stderr}"
        assert envbuild(crashed, "boot 2", "fsck").returncode == 0, what
        assert list((crashed.store / "work").iterdir()) == [], what


def test_the_database_is_whole_wherever_its_log_ends(crashed):
    begin_again(crashed)
    log = crashed.store / "store.db-wal"
    if not log.exists():
        pytest.skip("SQLite wrote the log into the database already")
    size = log.stat().st_size
    for cut in range(0, size, max(1, size // 25)):
        shutil.copy(crashed.kept / "store.db", crashed.store / "store.db")
        shutil.copy(crashed.kept / "store.db-wal", log)
        (crashed.store / "store.db-shm").unlink(missing_ok=True)
        os.truncate(log, cut)
        with sqlite3.connect(crashed.store / "store.db") as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            (tagged,) = database.execute("SELECT count(*) FROM tags").fetchone()
        database.close()
        assert tagged == 1, cut
