"""Files that change, vanish and are swapped while they are read; odd files; kills, full disks, two captures at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from envbuild.capture.reader_process import CHANGED, GONE, LAST_ATTEMPT, TAKEN, UNREAD, Reading
from envbuild.capture.readers import Readers
from envbuild.capture.redaction import Redacted
from envbuild.linux.forked import ChildKilled
from envbuild.store import failpoints
from envbuild.store.store import Store
from envbuild.tree.entry import Entry
from envbuild.tree.lookup import walk
from tests.capture.conftest import Machine
from tests.faults import killed_at

pytestmark = pytest.mark.namespaces


class Meddling:
    """Does something to each file between its opening and its reading, as whoever else uses the machine."""

    def __init__(self, meddle: Callable[[], object]) -> None:
        self._meddle = meddle

    def redacted(self, path: bytes, status: os.stat_result, opened: int) -> Redacted | None:
        self._meddle()
        return None


def read(folder: Path, name: str, meddle: Callable[[], object], attempt: int = 0) -> tuple:
    """What a reader answers for a file that `meddle` is done to while it is read."""
    status = os.lstat(folder / name)
    staged, pool = folder / "staged", folder / "pool"
    staged.mkdir(exist_ok=True)
    answers: list[tuple] = []
    opened = os.open(folder, os.O_RDONLY)
    try:
        with Readers(Reading(str(staged), str(pool), 1 << 20, Meddling(meddle))) as readers:
            readers.begin()
            file = os.fsencode(name), 0, 0, status.st_ino, status.st_ctime_ns, attempt
            readers.submit(opened, b"", [(file, status.st_size)], lambda _, answer: answers.append(answer))
            readers.flush()
    finally:
        os.close(opened)
    return answers[0]


def entries(machine: Machine) -> dict[str, Entry]:
    """All that the last capture has, by path."""
    with Store.open(str(machine.project.store)) as store:
        image = store.images.get(store.tags.image_of("laptop", "latest") or "")
        assert image is not None
        return {os.fsdecode(path): entry for path, entry in walk(store.trees, image.tree)}


def append(file: Path) -> None:
    with file.open("ab") as opened:
        opened.write(b"more")


@pytest.mark.parametrize("meddle", [append, lambda file: os.truncate(file, 2), lambda file: os.chmod(file, 0o600)])
def test_a_file_that_changes_while_it_is_read_is_read_again_and_in_the_end_taken_as_it_was_read(tmp_path, meddle):
    file = tmp_path / "file"
    file.write_text("content")
    assert read(tmp_path, "file", lambda: meddle(file)) == (CHANGED,)
    kind, *_, mark, _, changed = read(tmp_path, "file", lambda: append(file), LAST_ATTEMPT)
    assert (kind, mark, changed) == (TAKEN, None, True)


def test_a_file_that_grows_without_end_has_an_end(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"x" * 100)
    answer = read(tmp_path, "file", lambda: [append(file) for _ in range(1000)], LAST_ATTEMPT)
    assert answer[3] == 100


@pytest.mark.user
def test_what_is_swapped_for_a_link_or_a_pipe_is_not_followed_nor_waited_for(tmp_path):
    (tmp_path / "outside").write_text("outside")
    file = tmp_path / "file"
    for make in (lambda: file.symlink_to(tmp_path / "outside"), lambda: os.mkfifo(file), lambda: None):
        file.unlink(missing_ok=True)
        file.write_text("content")
        status = os.lstat(file)
        file.unlink()
        make()
        staged = tmp_path / "staged"
        staged.mkdir(exist_ok=True)
        answers: list[tuple] = []
        opened = os.open(tmp_path, os.O_RDONLY)
        with Readers(Reading(str(staged), "/nowhere", None, Meddling(lambda: None))) as readers:
            readers.begin()
            wanted = b"file", 0, 0, status.st_ino, status.st_ctime_ns, LAST_ATTEMPT
            readers.submit(opened, b"", [(wanted, 7)], lambda _, answer, to=answers: to.append(answer))
            readers.flush()
        os.close(opened)
        assert answers[0][0] in (GONE, CHANGED)


@pytest.mark.user
def test_without_a_reader_there_is_no_capture(tmp_path):
    (tmp_path / "file").write_text("content")
    with pytest.raises(ChildKilled):
        read(tmp_path, "file", lambda: os.kill(os.getpid(), signal.SIGKILL))


def test_holes_are_kept_and_more_of_them_than_allowed_are_said(tmp_path):
    file = tmp_path / "file"
    with file.open("wb") as opened:
        opened.truncate(3 << 20)
        opened.seek(2 << 20)
        opened.write(b"x" * 4096)
    kind, reason = read(tmp_path, "file", lambda: None)
    assert kind == UNREAD
    assert "never written" in reason


@pytest.mark.user
def test_names_of_any_bytes_hard_links_and_holes(machine: Machine):
    odd = machine.root / os.fsdecode(b"etc/\xff\n\\x \x1b[31m")
    odd.write_text("odd")
    os.link(odd, machine.root / "etc/second")
    with (machine.root / "usr/sparse").open("wb") as opened:
        opened.truncate(8 << 20)
    machine.capture()
    taken = entries(machine)
    first, second = taken[os.fsdecode(b"etc/\xff\n\\x \x1b[31m")], taken["etc/second"]
    assert first._replace(name=b"") == second._replace(name=b"")
    assert taken["usr/sparse"].size == 8 << 20
    written = sum(file.stat().st_blocks for file in machine.project.store.rglob("objects/*/*")) * 512
    assert written < 1 << 20
    assert machine.capture()["same"]
    assert machine.output("fsck")


def test_what_changed_is_read_and_what_did_not_is_not(machine: Machine):
    for number in range(20):
        machine.write(f"/usr/share/d{number % 4}/f{number}", str(number))
    for path in machine.root.rglob("*"):
        os.utime(path, (1, 1), follow_symlinks=False)
    machine.capture()
    before = entries(machine)
    machine.write("/usr/share/d1/f1", "changed")
    (machine.root / "usr/share/d2/f2").chmod(0o600)
    (machine.root / "usr/share/d3/f3").unlink()
    os.replace(machine.root / "usr/share/d0", machine.root / "usr/share/moved")
    machine.write("/usr/share/d0/new", "new")
    machine.capture()
    after = entries(machine)
    fresh = machine.project.folder / "fresh"
    again = machine.capture(ENVBUILD_STORE=str(fresh))
    assert again["image"].removeprefix("sha256:") in machine.output("images", "--format", "json")
    assert before["usr/share/d1/f1"].digest != after["usr/share/d1/f1"].digest
    assert "usr/share/d3/f3" not in after
    assert after["usr/share/d2/f2"].mode == 0o600
    assert "usr/share/moved/f4" in after


def test_what_is_known_of_a_capture_that_was_removed_is_not_relied_upon(machine: Machine):
    machine.capture()
    machine.output("untag", "laptop:latest")
    machine.output("gc", "--keep", "0", "--days", "0")
    machine.capture()
    assert machine.output("cat", "laptop", "/etc/hostname") == "laptop\n"
    assert "0 problems" in machine.output("fsck")


@pytest.mark.parametrize("point", [failpoints.OBJECT, failpoints.TREES, failpoints.IMAGE, failpoints.TAG])
def test_a_capture_that_is_killed_leaves_nothing_and_the_next_is_as_if_nothing_was(machine: Machine, point):
    words = ("capture", "laptop", "--root", str(machine.root))
    undisturbed = machine.capture(ENVBUILD_STORE=str(machine.project.folder / "other"))
    killed = machine.project.call(killed_at.main, point, "1", *words)
    assert killed.returncode == -9, killed.stderr
    assert machine.project.command("cat", "laptop", "/etc/hostname").code != 0
    assert machine.capture()["image"] == undisturbed["image"]
    assert list((machine.project.store / "work").iterdir()) == []
    assert "0 problems" in machine.output("fsck")


@pytest.mark.user
@pytest.mark.root
def test_a_disk_that_fills_up_is_not_left_full_and_has_no_half_of_a_capture(machine: Machine, tmp_path: Path):
    disk = tmp_path / "disk"
    disk.mkdir()
    (machine.root / "usr/large").write_bytes(os.urandom(6 << 20))
    capture = f"{sys.executable} -m envbuild capture laptop --root {machine.root}"
    script = f"""
        mount -t tmpfs -o size=10m small {disk} || exit 99
        export ENVBUILD_STORE={disk}/store
        dd if=/dev/zero of={disk}/filler bs=1M count=6 2>/dev/null
        {capture}; echo "capture $?"
        du -sk {disk}/store/objects {disk}/store/work | awk '{{ sum += $1 }} END {{ print sum < 100 ? "empty" : sum }}'
        {sys.executable} -m envbuild log laptop > /dev/null 2>&1; echo "log $?"
        rm {disk}/filler
        mount -o remount,size=40m {disk}
        {capture} > /dev/null; echo "again $?"
        {sys.executable} -m envbuild fsck > /dev/null; echo "fsck $?"
    """
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script],
        cwd=machine.project.folder,
        env=machine.project.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == ["capture 3", "empty", "log 2", "again 0", "fsck 0"], done.stdout + done.stderr
    assert "No space left on device" in done.stderr


def test_two_captures_at_once(machine: Machine):
    for number in range(50):
        machine.write(f"/usr/share/f{number}", str(number))
    words = ("capture", "laptop", "--root", str(machine.root))
    processes = [machine.project.start(*words) for _ in range(2)]
    for process in processes:
        out, _ = process.communicate()
        assert process.returncode == 0, out
    assert machine.capture()["same"]
    assert "0 problems" in machine.output("fsck")


@pytest.mark.user
def test_directories_that_are_swapped_for_links_while_a_capture_looks_lead_nowhere(machine: Machine, tmp_path: Path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("of somebody else")
    for number in range(40):
        machine.write(f"/srv/d{number}/file", "mine")
    script = """
import os, sys
root, outside = sys.argv[1:]
while True:
    for number in range(40):
        path = f"{root}/srv/d{number}"
        os.rename(path, f"{path}-"); os.symlink(outside, path)
        os.unlink(path); os.rename(f"{path}-", path)
"""
    swapping = subprocess.Popen([sys.executable, "-S", "-c", script, str(machine.root), str(outside)])
    try:
        for _ in range(3):
            machine.capture()
            contents = {
                file.read_text(errors="replace")
                for file in machine.project.store.rglob("objects/*/*")
                if file.stat().st_size < 100
            }
            assert "of somebody else" not in contents
    finally:
        swapping.kill()
        swapping.wait()
