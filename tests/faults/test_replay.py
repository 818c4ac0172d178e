"""A loss of power at any moment of a build or a collection, replayed from what the command did to its store.

What was done before the last sync is there. Of what came after, anything may be lost, in any order: a file may have
its name and not its content, a layer may lack names, pages of the database that were being written may be old or new,
and its log ends anywhere after the last checkpoint (SQLite syncs the log before it writes pages: sqlite.org/wal.html).
"""

import json
import os
import pickle
import random
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import first_then_nightly
from tests.faults import after_boot, recorded
from tests.faults.kept import digest_in
from tests.faults.recorded import Event, Inode, Recording

pytestmark = [pytest.mark.namespaces, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
PAGE = 4096
OLD = ("from tar:busybox.tar", "run echo old > /old; mkdir /d; echo kept > /d/kept")
NEW = (
    *OLD,
    "run echo first > /first; echo in > /d/in; ln -s in /d/link; chmod 700 /d",
    "copy app/ -> /app/",
    "run cat /first /app/* > /second; rm /old; rm -r /d; mkdir /d; echo again > /d/in",
    "file /etc/motd",
    "    text",
    "run echo third > /third; cp /third /fourth",
)
CONTENT = {
    "/first": "first\n",
    "/d/in": "again\n",
    "/second": "first\n0\n1\n2\n",
    "/etc/motd": "text\n",
    "/third": "third\n",
    "/fourth": "third\n",
}


class Crash:
    """A store as a loss of power right after the event `at` may have left it."""

    def __init__(self, recording: Recording, at: int, seed: str) -> None:
        self.recording = recording
        self.events = recording.events[: at + 1]
        self.randomness = random.Random(seed)
        self.ordered = self.randomness.random() < 0.5
        self.changed = {path: changed for path, (_, changed) in recording.before.items()}
        self.made: dict[int, Path] = {}
        self.synced = max((n for n, event in enumerate(self.events) if event.kind == "sync"), default=0)

    def leave(self, store: Path) -> None:
        """Turns a copy of the store as it was before the command into what the crash left."""
        numbers = {number: path for path, (number, _) in self.recording.before.items()}
        self.made = {number: store / path for number, path in numbers.items()}
        staging = store.with_name("staging")
        staging.mkdir()
        # With a file system that keeps the order, names come to disk up to some moment; else any of them do.
        end = self.randomness.randint(self.synced, len(self.events) - 1)
        for number, event in enumerate(self.events):
            safe = number <= self.synced
            if safe or (number <= end if self.ordered else self.randomness.random() < 0.7):
                self.do(event, store, staging, safe=safe)
        shutil.rmtree(staging)
        self.leave_database(store)
        (store / "work" / "left").mkdir()
        (store / "work" / "left" / "upper").write_text("half")
        (store / "work" / "step-0.lock").touch()

    def do(self, event: Event, store: Path, staging: Path, *, safe: bool) -> None:
        path = store / event.path
        if event.kind == "file":
            path.parent.mkdir(exist_ok=True)
            path.unlink(missing_ok=True)
            self.link(event.inode, path, staging, safe)
            known = self.recording.inodes.get(event.inode)
            self.changed[event.path] = known.changed if known else event.changed
        elif event.kind == "layer":
            self.lay(event, path, staging, safe)
        elif event.kind == "gone" and path.is_dir():
            shutil.rmtree(path)
        elif event.kind == "gone":
            staged = staging / f"gone{len(os.listdir(staging))}"
            os.link(path, staged)  # other names of it may still be asked for
            self.made = {number: staged if there == path else there for number, there in self.made.items()}
            path.unlink()

    def lay(self, event: Event, path: Path, staging: Path, safe: bool) -> None:
        path.mkdir()
        folders = []
        for name, what in sorted(event.layer):
            there = path / name
            if (not safe and not self.ordered and self.randomness.random() < 0.1) or not there.parent.is_dir():
                continue
            match what:
                case int():
                    self.link(what, there, staging, safe)
                case ("folder", mode, mtime, marks):
                    there.mkdir(exist_ok=True)
                    folders.append((there, mode, mtime, marks))
                case ("link", target, mtime):
                    there.symlink_to(target)
                    os.utime(there, ns=(mtime, mtime), follow_symlinks=False)
                case _:
                    os.mknod(there, 0o020000, os.makedev(0, 0))
        for there, mode, mtime, marks in reversed(folders):
            for mark, value in marks.items():
                os.setxattr(there, mark, value)
            there.chmod(mode)
            os.utime(there, ns=(mtime, mtime))

    def link(self, number: int, path: Path, staging: Path, safe: bool) -> None:
        if number not in self.made:
            self.made[number] = staging / str(number)
            self.write(self.recording.inodes[number], self.made[number], safe)
        os.link(self.made[number], path)

    def write(self, inode: Inode, path: Path, safe: bool) -> None:
        """The file; its content may be missing where nothing was synced after it."""
        size = len(inode.content)
        fates = [inode.content] * 4 + [b"", bytes(size), inode.content[: size // 2]]
        path.write_bytes(inode.content if safe else self.randomness.choice(fates))
        path.chmod(inode.mode)
        os.utime(path, ns=(inode.mtime, inode.mtime))

    def leave_database(self, store: Path) -> None:
        checkpoint = max((n for n, event in enumerate(self.events) if event.kind == "checkpoint"), default=0)
        earliest = max(self.synced, checkpoint)
        chosen = self.events[self.randomness.randint(earliest, len(self.events) - 1)]
        pages, log = chosen.database, chosen.log
        if checkpoint > self.synced:
            # The checkpoint was not synced: each page that it wrote may be the one before.
            before, after = self.events[checkpoint].database, self.events[-1].database
            numbers = range(0, len(after), PAGE)
            picked = [self.randomness.choice([before, after])[n : n + PAGE] or after[n : n + PAGE] for n in numbers]
            pages = b"".join(picked) if self.events[checkpoint].log else pages
        kept = self.events[earliest].log
        # A log that was begun anew has other salts in its head: all of the one before is in the database.
        least = len(kept) if kept[:32] == log[:32] else 0
        (store / "store.db").write_bytes(pages)
        (store / "store.db-shm").unlink(missing_ok=True)
        (store / "store.db-wal").write_bytes(log[: self.randomness.randint(least, len(log))] if log else b"")


class Crashes:
    """A project, its store as it was before the recorded command, and the recording."""

    def __init__(self, project, kept: Path) -> None:
        self.project = project
        self.kept = kept
        self.changed: dict[str, int] = {}

    def record(self, *words: str) -> Recording:
        project, store = self.project, self.project.store
        subprocess.run(["cp", "-a", "-T", store, self.kept], check=True)
        file = project.folder.with_name("recording")
        done = project.call(recorded.main, str(file), *words)
        assert done.returncode == 0, done.stderr
        recording: Recording = pickle.loads(file.read_bytes())
        return recording

    def crash(self, recording: Recording, at: int, seed: str) -> Crash:
        store = self.project.store
        subprocess.run(["rm", "-rf", store, store.with_name("staging")], check=True)
        subprocess.run(["cp", "-a", "-T", self.kept, store], check=True)
        crash = Crash(recording, at, seed)
        crash.leave(store)
        self.changed = crash.changed
        return crash

    def envbuild(self, *words: str) -> subprocess.CompletedProcess:
        return self.project.call(after_boot.main, *words, CHANGED=json.dumps(self.changed))

    def is_sound(self, what: str) -> None:
        """All is mended by what the user would do, and nothing of the crash is left."""
        repaired = self.envbuild("fsck", "--repair")
        assert repaired.returncode == 0, f"{what}: {repaired.stdout}{repaired.stderr}"
        assert self.envbuild("fsck").returncode == 0, what
        assert list((self.project.store / "work").iterdir()) == [], what


@pytest.fixture
def crashes(project, tmp_path):
    for number in range(3):
        project.write(f"app/f{number}", str(number))
    return Crashes(project, tmp_path / "kept")


def moments(recording: Recording, share: int, of: int) -> list[int]:
    """Every `of`-th event, beginning with the one of this share."""
    return list(range(share, len(recording.events), of))


@pytest.mark.parametrize("share", first_then_nightly(6, 1))
def test_power_lost_at_any_moment_of_a_build(crashes, tmp_path, share):
    project = crashes.project
    new = project.build(*NEW, ENVBUILD_STORE=str(tmp_path / "other"))
    assert new.code == 0, new.err
    (project.folder / "web.env.lock").unlink()
    old = project.build(*OLD)
    assert old.code == 0, old.err
    lock = project.folder / "web.env.lock"
    old_lock = lock.read_text()
    project.write("web.env", *NEW)
    recording = crashes.record("build", "web.env", "--jobs", "1")
    new_lock = lock.read_text()
    kinds = [event.kind for event in recording.events]
    assert {"file", "layer", "database", "checkpoint", "sync"} <= set(kinds)
    assert kinds.count("sync") == 1
    for at in moments(recording, share, 6):
        seed = f"share {share}, event {at}"
        crash = crashes.crash(recording, at, seed)
        what = f"{seed}: {kinds[at]} {recording.events[at].path}, ordered {crash.ordered}"
        lock.write_text(crash.randomness.choice([old_lock, new_lock]))
        named = digest_in(project)
        # What a tag names is whole.
        assert named in (old.image, new.image), what
        content = CONTENT if named == new.image else {"/old": "old\n", "/d/kept": "kept\n"}
        for words in (("cat", "web", *content), ("run", "web", "--", "cat", *content)):
            shown = crashes.envbuild(*words)
            assert (shown.returncode, shown.stdout) == (0, "".join(content.values())), f"{what}: {shown.stderr}"
        built = crashes.envbuild("build", "web.env")
        assert built.returncode == 0, f"{what}: {built.stderr}"
        assert digest_in(project) == new.image, what
        ran = crashes.envbuild("run", "web", "--", "cat", *CONTENT)
        assert (ran.returncode, ran.stdout) == (0, "".join(CONTENT.values())), f"{what}: {ran.stderr}"
        crashes.is_sound(what)


@pytest.mark.parametrize("share", first_then_nightly(6, 1))
def test_power_lost_at_any_moment_of_a_collection(crashes, share):
    """What is removed may be gone while the database still knows of it: it is made again when it is built again."""
    project = crashes.project
    many = [f"run echo {number} > /f{number}; echo {number} > /g" for number in range(6)]
    garbage = project.build("from tar:busybox.tar", *many, name="garbage.env")
    assert garbage.code == 0, garbage.err
    assert project.command("untag", "garbage").code == 0
    (project.folder / "garbage.env.lock").unlink()
    time.sleep(1.2)  # what was made within a second of the last sync is looked at once more after a start
    kept = project.build(*OLD, name="kept.env")
    assert kept.code == 0, kept.err
    recording = crashes.record("gc", "--keep", "0")
    kinds = [event.kind for event in recording.events]
    assert kinds.count("gone") > 12
    for at in moments(recording, share, 6):
        what = f"share {share}, event {at}"
        crash = crashes.crash(recording, at, what)
        what = f"{what}: {kinds[at]} {recording.events[at].path}, ordered {crash.ordered}"
        shown = crashes.envbuild("run", "kept", "--", "cat", "/d/kept")
        assert (shown.returncode, shown.stdout) == (0, "kept\n"), f"{what}: {shown.stderr}"
        built = crashes.envbuild("build", "garbage.env", "--progress", "plain")
        assert built.returncode == 0, f"{what}: {built.stderr}"
        assert digest_in(project, "garbage") == garbage.image, what
        ran = crashes.envbuild("run", "garbage", "--", "cat", *[f"/f{number}" for number in range(6)])
        assert (ran.returncode, ran.stdout) == (0, "".join(f"{number}\n" for number in range(6))), what
        (project.folder / "garbage.env.lock").unlink()
        crashes.is_sound(what)
