"""Commands of envbuild on a machine that has started again since, as far as they can tell."""

from __future__ import annotations

import os
import sys
import time

from envbuild.cli.main import run
from envbuild.linux import boot
from envbuild.store.reboot_check import recover
from envbuild.store.store import SYNCED, Store


def main() -> int:
    """Run the command that sys.argv has."""
    boot.boot_id = lambda: "another boot"
    return run(sys.argv[1:])


def count_lost_files() -> None:
    """Print how many files the check after a reboot finds lost, where the last sync was an hour from now."""
    boot.boot_id = lambda: "another boot"
    with Store.open(os.environ["ENVBUILD_STORE"]) as store:
        store.memo.put(SYNCED, "", b"%d" % (time.time_ns() + 3600 * 10**9))
        recover(store)
        print(len(store.lost.identities()))
