"""A command of envbuild in another run of the machine, which may be killed at a point: BOOT POINT WORDS..."""

from __future__ import annotations

import os
import signal
import sys

from envbuild.cli.main import run
from envbuild.linux import boot as linux_boot
from envbuild.store import failpoints


def main() -> int:
    boot, point, *words = sys.argv[1:]
    linux_boot.boot_id = lambda: boot
    if point:
        failpoints.at = lambda now: os.kill(os.getpid(), signal.SIGKILL) if now == point else None
    return run(words)
