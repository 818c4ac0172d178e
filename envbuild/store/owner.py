"""The owner of a store. It is for its owner alone: images have set-user-id programs, secrets that a step wrote, and
others' code; and to anybody else, root too, the owners of its files would look changed, and all of it damaged."""

from __future__ import annotations

import os
import stat

from envbuild.errors import MachineLacks, fields

DATABASE = "store.db"
_OTHERS = 0o077


@fields
class SomebodyElses(MachineLacks):
    """The store belongs to another user."""

    path: str
    uid: int

    def text(self) -> tuple[str, str]:
        name = _name_of(self.uid)
        return (
            f"the store {self.path} belongs to {name}",
            f"use one of your own: ENVBUILD_STORE=DIR; or run this as {name}",
        )


def refuse_others(path: str) -> None:
    """Raise SomebodyElses for a store in this directory that another user has made."""
    user = os.geteuid()
    try:
        owner = os.stat(path).st_uid
        if owner != user:
            # A directory for all may be its place.
            owner = os.stat(f"{path}/{DATABASE}").st_uid
    except PermissionError:
        raise SomebodyElses(path, _owner_of(path)) from None
    except OSError:
        return  # there is no store yet
    if owner != user:
        raise SomebodyElses(path, owner)


def close_to_others(path: str, *, thorough: bool = False) -> None:
    """Take from everybody but its owner all rights to a store, and to the directories and files in it, where it is
    found open: earlier versions made it so. What lies deeper can't be reached then, and has the modes that images say.

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


def _owner_of(path: str) -> int:
    """Return who owns a path, or the nearest directory above it that can be seen."""
    while True:
        try:
            return os.stat(path).st_uid
        except OSError:
            above = os.path.dirname(path)
            if above == path:
                return 0
            path = above


def _name_of(uid: int) -> str:
    import pwd  # only for a message

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"the user {uid}"
