"""A hostile user beside a restore by somebody else: paths are swapped for links while it writes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from envbuild.capture.going_back import KnownCapture, plan_going_back
from envbuild.capture.machine_root import MachineRoot
from envbuild.capture.put_back import PutBack
from envbuild.capture.stored_contents import stored_contents
from envbuild.store.store import Store
from tests.capture.conftest import Machine, machine  # noqa: F401 - a fixture
from tests.child import in_child

pytestmark = [pytest.mark.namespaces]
ROUNDS = 60


@contextmanager
def meanwhile(attack: Callable[[], None]) -> Iterator[None]:
    """Makes an attack again and again in a process of its own."""
    pid = os.fork()
    if pid == 0:
        try:
            while True:
                attack()
        finally:
            os._exit(0)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def swap(place: Path, aside: Path, target: Path) -> None:
    """Has a link take a path's place for a moment."""
    try:
        place.rename(aside)
        place.symlink_to(target)
        place.unlink()
        aside.rename(place)
    except OSError:
        time.sleep(0)


def restore_again_and_again(machine: Machine, change: Callable[[int], None]) -> None:  # noqa: F811
    with (
        Store.open(str(machine.project.store)) as store,
        MachineRoot(str(machine.root)) as root,
        stored_contents(store) as contents,
    ):
        image = store.images.get(store.tags.image_of("laptop", "latest") or "")
        assert image is not None
        known = KnownCapture(store, image, "laptop", root, contents)
        for number in range(ROUNDS):
            change(number)
            plan = plan_going_back(store, known, root.descriptor, [b"home/eve"], delete=False)
            PutBack(store.trees, contents, root.descriptor, plan).run(lambda *_: None)


def test_a_directory_that_is_swapped_for_a_link_leads_nowhere(machine: Machine, tmp_path: Path):  # noqa: F811
    for name in ("a", "b", "deep/c"):
        machine.write(f"/home/eve/app/{name}", "as captured\n")
    machine.capture("--home")
    victim = tmp_path / "victim"
    for name in ("a", "b", "deep/c", "keep"):
        (victim / name).parent.mkdir(parents=True, exist_ok=True)
        (victim / name).write_text("theirs\n")
    before = {path: path.lstat().st_ino for path in victim.rglob("*")}
    app = machine.root / "home/eve/app"

    def change(number: int) -> None:
        for name in ("a", "b", "deep/c"):
            try:
                (app / name).write_text(f"{number}\n") if not app.is_symlink() else None
            except OSError:
                pass

    # The attacker's own writes follow the link, too: so only the victim's names and inodes are looked at, and whether
    # anything has the content of the capture.
    with meanwhile(lambda: swap(app, machine.root / "home/eve/aside", victim)):
        in_child(lambda: restore_again_and_again(machine, change))
    assert {path: path.lstat().st_ino for path in victim.rglob("*")} == before
    assert [path for path in victim.rglob("*") if path.is_file() and "captured" in path.read_text()] == []


def test_a_file_that_is_swapped_for_a_link_is_replaced_and_not_followed(machine: Machine, tmp_path: Path):  # noqa: F811
    machine.write("/home/eve/rc", "as captured\n", 0o600)
    machine.capture("--home")
    victim = tmp_path / "victim"
    victim.write_text("theirs\n")
    victim.chmod(0o644)
    before = victim.stat()
    rc = machine.root / "home/eve/rc"
    with meanwhile(lambda: swap(rc, machine.root / "home/eve/aside", victim)):
        in_child(lambda: restore_again_and_again(machine, lambda number: None))
    after = victim.stat()
    assert victim.read_text() == "theirs\n"
    assert (after.st_ino, after.st_mode, after.st_mtime_ns) == (before.st_ino, before.st_mode, before.st_mtime_ns)


@pytest.mark.root
def test_nobody_looks_into_what_is_not_whole_yet(machine: Machine):  # noqa: F811
    """What is made lies in a directory of root's until it has its owner and mode."""
    machine.write("/home/eve/secret", "as captured\n", 0o600)
    machine.capture("--home")
    (machine.root / "home/eve/secret").unlink()
    eve = machine.root / "home/eve"
    os.chown(eve, 4321, 4321)
    seen = []

    def body() -> None:
        real = os.open

        def watched(path, flags, mode=0o777, *, dir_fd=None):  # type: ignore[no-untyped-def]
            opened = real(path, flags, mode, dir_fd=dir_fd)
            if path == b"new" and flags & os.O_CREAT:
                seen.extend(
                    (entry.stat().st_mode & 0o777, entry.stat().st_uid)
                    for entry in eve.iterdir()
                    if entry.name.startswith(".envbuild-restore-")
                )
            return opened

        os.open = watched  # type: ignore[assignment]
        restore_again_and_again(machine, lambda number: None)
        assert seen == [(0o700, 0)], seen

    in_child(body)
