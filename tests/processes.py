"""The processes of the machine, as /proc shows them."""

from __future__ import annotations

import os
import signal
from pathlib import Path


def alive_with(text: str, below: int | None = None) -> list[int]:
    """The processes whose command line holds this text, which must be the test's own (see `mark`); or, where others
    can have it too, those of them that came from process `below`."""
    pids = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            try:
                line = Path(f"/proc/{entry}/cmdline").read_bytes()
            except OSError:
                continue
            if text.encode() in line and (below is None or below in ancestors(int(entry))):
                pids.append(int(entry))
    return pids


def end_with(text: str, number: int = signal.SIGTERM) -> None:
    """Sends a signal to all that `alive_with` finds. Some of them may be gone by then: with one end those that wait for
    it."""
    for pid in alive_with(text):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def ancestors(pid: int) -> list[int]:
    """The process itself, its parent, and so on; what is left of them if they end meanwhile."""
    pids = []
    while pid:
        pids.append(pid)
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                pid = int(file.read().rpartition(b")")[2].split()[1])
        except OSError:
            break
    return pids
