"""Whose a store is. It is its owner's alone: to anybody else, root too, the owners of its files would look changed, and
all of it damaged."""

from __future__ import annotations

import os

from envbuild.errors import MachineLacks

DATABASE = "store.db"


class SomebodyElses(MachineLacks):
    """The store belongs to another user."""

    def __init__(self, path: str, uid: int) -> None:
        name = _name_of(uid)
        super().__init__(
            f"the store {path} belongs to {name}",
            f"use one of your own: ENVBUILD_STORE=DIR; or run this as {name}",
        )


def refuse_others(path: str) -> None:
    """Raises SomebodyElses for a store in this folder that another user has made."""
    user = os.geteuid()
    try:
        owner = os.stat(path).st_uid
        if owner != user:
            # A folder for all may be its place.
            owner = os.stat(f"{path}/{DATABASE}").st_uid
    except PermissionError:
        raise SomebodyElses(path, _owner_of(path)) from None
    except OSError:
        return  # there is no store yet
    if owner != user:
        raise SomebodyElses(path, owner)


def _owner_of(path: str) -> int:
    """Who owns a path, or the nearest folder above it that can be seen."""
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
