"""The command line of the program that runs dpkg: what a hook of apt is started by."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence

PROGRAMS = frozenset(
    (
        *("apt", "apt-get", "aptitude", "aptitude-curses", "dselect", "nala", "synaptic", "packagekitd"),
        *("unattended-upgrade", "unattended-upgrades", "gnome-software", "plasma-discover", "muon"),
    )
)
MAX_ANCESTORS = 12
MAX_TEXT = 4096
"""Characters of a command line that are kept."""
_MAX_READ = 1 << 16
_PASSWORD = re.compile(r"(\w+://)[^/@\s]+@")


def command_of_apt(pid: int) -> str:
    """Return the command line of the process, one of those that `pid` descends from, that runs dpkg, "apt" where none
    is known. Passwords in addresses are taken out."""
    for _ in range(MAX_ANCESTORS):
        pid = _parent(pid)
        if pid <= 1:
            break
        if words := command_in(_words(pid)):
            return words
    return "apt"


def command_in(words: Sequence[str]) -> str:
    """Return a command line if it is that of a program that runs dpkg, without what interprets it; else ""."""
    for position, word in enumerate(words[:3]):
        if os.path.basename(word) in PROGRAMS:
            called = (os.path.basename(word), *words[position + 1 :])
            return _PASSWORD.sub(r"\1", shlex.join(called))[:MAX_TEXT]
        if position and word.startswith("-"):
            break
    return ""


def _parent(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name, in parentheses, can hold anything (proc(5)).
            return int(file.read().rpartition(b")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def _words(pid: int) -> list[str]:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            content = file.read(_MAX_READ)
    except OSError:
        return []
    return [os.fsdecode(word) for word in content.split(b"\0")[:-1]]
