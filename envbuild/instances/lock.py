"""The lock in an instance's folder, which its supervisor holds as long as it lives (flock(2))."""

from __future__ import annotations

import fcntl
import os
import time

from envbuild.errors import WorkFailed, fields
from envbuild.instances.record import EXITED, Instance, read_state


@fields
class AlreadyRunning(WorkFailed):
    """The instance has a supervisor already."""

    name: str

    def text(self) -> tuple[str, str]:
        return f"{self.name} is running already", f"see: envbuild ps; envbuild stop {self.name}"


def hold(instance: Instance) -> int:
    """Take the lock of an instance for its supervisor, which keeps the descriptor open. Raises AlreadyRunning."""
    descriptor = os.open(f"{instance.path}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    tries = 100
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError:
            # Who only looks has it for a moment, and shares it: that is no supervisor.
            if _shares(descriptor):
                fcntl.flock(descriptor, fcntl.LOCK_UN)
                time.sleep(os.urandom(1)[0] / 256_000)  # two who want it would else look at each other for long
                continue
            # One that has just ended: its supervisor is on its way out.
            if tries and read_state(instance.path).status == EXITED:
                tries -= 1
                time.sleep(0.02)
                continue
        os.close(descriptor)
        raise AlreadyRunning(instance.name)


def make_lock(folder: str) -> int:
    """Make the lock of a folder that is just being made, and take it. It is held as soon as it has its name."""
    making = f"{folder}/lock.new"
    descriptor = os.open(making, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.rename(making, f"{folder}/lock")
    return descriptor


def is_held(folder: str) -> bool:
    """Tell whether somebody holds the lock of an instance's folder."""
    try:
        descriptor = os.open(f"{folder}/lock", os.O_RDWR | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        return not _shares(descriptor)
    finally:
        os.close(descriptor)


def _shares(descriptor: int) -> bool:
    """Tell whether nobody holds the lock for himself: it is shared then, so that two who look do not see each other."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
