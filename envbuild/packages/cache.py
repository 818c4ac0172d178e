"""The package cache of a store: a folder of files that are named by their hash.

A file is in it whole or not at all; what was fetched of one that broke off lies beside it and is continued, by this
command or a later one.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from envbuild.http.reach import Level
from envbuild.lockfile.lock import Package

_CHUNK = 1 << 18
NOT_THERE = (403, 404, 410)
"""What servers answer for a file that they don't have; some object stores say that it is forbidden."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a file may be. `giver` is where that lies which says so, None for the user's own settings and the
    recipe: http/reach.py has what follows from it."""

    url: str
    giver: Level | None = None


LookUp = Callable[[Callable[[str], bytes]], Sequence[Address]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A package and the addresses that may have its file, the likeliest first; `problems` are why there are no
    others. Where none of them has it, `look_up` knows more: it is given what reads a document of the web, and raises
    BadDocument and what reading raises."""

    package: Package
    addresses: tuple[Address, ...]
    problems: tuple[str, ...] = ()
    look_up: LookUp | None = None


class Cache:
    """The package cache of a store."""

    def __init__(self, path: str, exclusive: Callable[[str], AbstractContextManager[None]]) -> None:
        """`exclusive` holds a name against all other processes."""
        self._path = path
        self._exclusive = exclusive
        self._mode = 0o644

    def where(self, package: Package) -> str:
        """Return where the package's file is, or would be."""
        return f"{self._path}/{package.hash.replace(':', '-')}"

    def has(self, package: Package) -> bool:
        return os.path.exists(self.where(package))

    def verify(self, package: Package) -> bool:
        """Return whether the file is there and is still what its name says; one that is not is removed."""
        path = self.where(package)
        try:
            if hash_of(path, package.hash) == package.hash:
                return True
            os.unlink(path)
        except FileNotFoundError:
            pass
        return False

    def keep(self, path: str, package: Package) -> None:
        """Take a file that is what the package's hash says, and lies beside the others."""
        os.chmod(path, self._mode)
        os.rename(path, self.where(package))

    def exclusive(self, package: Package) -> AbstractContextManager[None]:
        """Hold a package's file against all other processes."""
        return self._exclusive(f"package-{package.hash.partition(':')[2][:64]}")


def hash_of(path: str, like: str) -> str:
    """Return the hash of a file, in the algorithm that the hash `like` has."""
    state = hashlib.new(like.partition(":")[0])
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            state.update(chunk)
    return f"{state.name}:{state.hexdigest()}"
