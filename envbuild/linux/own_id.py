"""The user by number, in a user namespace in which this process is root: for programs that look it up, as ssh takes its
settings and keys from the home directory that the accounts of the machine give, whatever $HOME says."""

from __future__ import annotations

import os

from envbuild.linux.subids import find_program


def as_own_id() -> tuple[str, ...]:
    """Return the words before a command that give it the numbers of the user who started this process: none where it
    has them, or where unshare(1) is not installed. It is in a user namespace of its own then, and has no rights in
    this one's."""
    uid, gid = _outside("uid", os.geteuid()), _outside("gid", os.getegid())
    if uid in (os.geteuid(), None) or gid is None:
        return ()
    program = find_program("unshare")
    return () if program is None else (program, f"--map-user={uid}", f"--map-group={gid}", "--")


def own_uid() -> int:
    """Return the number of the user who started this process, also where it is root of a namespace by now."""
    uid = os.getuid()
    above = _outside("uid", uid)
    return uid if above is None else above


def _outside(kind: str, number: int) -> int | None:
    """Return what an id of this namespace is in the one above it; None for one that has no row in the map."""
    with open(f"/proc/self/{kind}_map", encoding="utf-8") as file:
        for line in file:
            first, above, count = map(int, line.split())
            if first <= number < first + count:
                return above + number - first
    return None
