"""A store is for its owner alone: images have set-user-id programs, secrets that a step wrote, and others' code."""

from __future__ import annotations

import os
import stat

_OTHERS = 0o077


def close_to_others(path: str, *, thorough: bool = False) -> None:
    """Takes from everybody but its owner all rights to a store, and to the folders and files in it, where it is found
    open: earlier versions made it so. What lies deeper can't be reached then, and has the modes that images say.

    With `thorough` also of what lies in a store that is closed. Somebody else's is left as it is. Raises OSError.
    """
    status = os.stat(path)
    if status.st_uid != os.geteuid():
        return
    closed = not status.st_mode & _OTHERS
    if closed and not thorough:
        return
    if not closed:
        # First, so that nobody opens anything of it meanwhile.
        os.chmod(path, stat.S_IMODE(status.st_mode) & ~_OTHERS)
    with os.scandir(path) as items:
        for item in items:
            mode = item.stat(follow_symlinks=False).st_mode
            if not stat.S_ISLNK(mode) and mode & _OTHERS:
                os.chmod(item.path, stat.S_IMODE(mode) & ~_OTHERS, follow_symlinks=True)
