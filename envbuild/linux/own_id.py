"""Programs that look up the user by number, started from a user namespace in which this process is root: ssh takes its
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


def _outside(kind: str, number: int) -> int | None:
    """Return what an id of this namespace is in the one above it; None for one that has no row in the map."""
    with open(f"/proc/self/{kind}_map", encoding="utf-8") as file:
        for line in file:
            first, above, count = map(int, line.split())
            if first <= number < first + count:
                return above + number - first
    return None
