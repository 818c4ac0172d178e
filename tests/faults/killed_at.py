"""Commands of envbuild that end on the way: killed at a point, or on a disk that is full."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable

from envbuild.cli.main import run
from envbuild.store import failpoints, gc, snapshot


def main() -> int:
    """POINT COUNT WORDS...: killed when it passes a point for the so-manieth time."""
    point, count, *words = sys.argv[1:]
    left = int(count)

    def at(now: str) -> None:
        nonlocal left
        left -= now == point
        if now == point and left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    failpoints.at = at
    return run(words)


def removal() -> int:
    """NUMBER WORDS...: killed before its so-manieth removal of a file or a folder."""
    number, *words = sys.argv[1:]
    left = int(number)

    def killing(real: Callable) -> Callable:
        def call(*positional, **named):
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*positional, **named)

        return call

    gc.remove, os.unlink = killing(gc.remove), killing(os.unlink)
    return run(words)


def on_a_full_disk() -> int:
    """WORDS...: no content of a file can be kept."""

    def full(path: object, *_: object) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    snapshot.hash_of = full
    return run(sys.argv[1:])
