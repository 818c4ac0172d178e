"""The user by number, in a user namespace in which this process is root: for programs that look it up, as ssh takes its
settings and keys from the home directory that the accounts of the machine give, whatever $HOME says."""

from __future__ import annotations

import os

from envbuild.linux.subids import find_program

_before: tuple[int, int] | None = None
"""The user and the group of this process before it entered a namespace, None while it has not."""


def remember_own_id() -> None:
    """Note who this process is: whoever has it enter a user namespace calls this before."""
    global _before
    if _before is None:
        _before = os.geteuid(), os.getegid()


def as_own_id() -> tuple[str, ...]:
    """Return the words before a command that give it the numbers of the user who started this process: none where it
    has them, or where unshare(1) is not installed. It is in a user namespace of its own then, and has no rights in
    this one's."""
    if _before is None or _before[0] == os.geteuid():
        return ()
    program = find_program("unshare")
    return () if program is None else (program, f"--map-user={_before[0]}", f"--map-group={_before[1]}", "--")


def own_uid() -> int:
    """Return the number of the user who started this process, also where it is root of a namespace by now. Root of a
    container is root: nothing outside of it is asked."""
    return os.geteuid() if _before is None else _before[0]
