"""Runs a command of envbuild, and kills the process that writes the ids of the command's user namespace."""

from __future__ import annotations

import os
import signal
import sys
import threading

from envbuild.cli.main import run
from envbuild.sandbox import user_namespace

fork, enter = os.fork, user_namespace._unshare_with
here = threading.local()  # other threads fork meanwhile, and their children live


def main() -> int:
    os.fork = fork_and_die
    user_namespace._map_single = None
    user_namespace._unshare_with = enter_without_ids
    if os.geteuid() == 0:
        user_namespace._enter = user_namespace._enter_as_root
    else:
        user_namespace._enter = lambda: enter_without_ids(lambda: None)
    return run(sys.argv[1:])


def fork_and_die() -> int:
    pid = fork()
    if pid == 0 and getattr(here, "doomed", False):
        os.kill(os.getpid(), signal.SIGKILL)
    return pid


def enter_without_ids(write) -> None:
    here.doomed = True
    try:
        enter(write)
    finally:
        here.doomed = False
