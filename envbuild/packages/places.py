"""The team's places: folders and web servers that have files by their hashes, the first one first.

What a place gives is what the hash says, or it is not taken; one that does not answer costs a warning and a moment, and
the file comes from elsewhere.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from envbuild.linux.in_time import answers_in_time
from envbuild.lockfile.lock import Package
from envbuild.packages.cache import Cache
from envbuild.packages.place import BadFile, NotReadable, Place, PlaceFailed, Progress, file_at, place_of

MAX_WAIT = 2.0
"""Seconds that all places together have to show that they are there."""
MAX_PARALLEL = 8
_IS_THERE = "is there"


class Places:
    """The places of one build."""

    def __init__(self, places: Sequence[str], most: int, home: str, warn: Callable[[str], None]) -> None:
        """`places` are absolute paths and web addresses, `most` the bytes that one file may have. In the user's `home`
        are the passwords for places."""
        self._places = [place_of(text, most, home) for text in dict.fromkeys(places)]
        self._warn = warn
        self._failed: set[str] = set()
        self._private: set[str] = set()
        self._lock = threading.Lock()

    def leave_out_silent(self) -> None:
        """Warn of the places that do not answer within MAX_WAIT seconds, and ask them for nothing.

        Called while this process has one thread.
        """
        answers = answers_in_time([partial(_greeting, place) for place in self._places], MAX_WAIT)
        for place, answer in zip(self._places, answers, strict=True):
            if answer != _IS_THERE:
                self._fail(place, answer or f"it does not answer within {MAX_WAIT:.0f} seconds")

    def bring(self, cache: Cache, packages: Sequence[Package], progress: Callable[[int, int], None]) -> list[Package]:
        """Bring files of packages into a cache; return the packages that no place has. `progress` gets the bytes so
        far, and 0."""
        if not any(self._left()):
            return list(packages)
        from concurrent.futures import ThreadPoolExecutor  # only where there are places

        done = 0

        def arrived(size: int) -> None:
            nonlocal done
            with self._lock:
                done += size
                progress(done, 0)

        def bring_one(package: Package) -> bool:
            with cache.exclusive(package):
                return cache.has(package) or self._take_into(cache, package, arrived)

        with ThreadPoolExecutor(MAX_PARALLEL, "places") as pool:
            outcomes = list(pool.map(bring_one, packages))
        return [package for package, here in zip(packages, outcomes, strict=True) if not here]

    def take(self, hash: str, path: str, progress: Progress = lambda size: None) -> bool:
        """Write the file of a hash to `path`, which does not exist; return whether a place has it."""
        for place in self._left():
            if self._asked(place, hash, lambda place: place.take(hash, path, progress)):
                return True
            _remove(path)
        return False

    def find(self, hash: str, *, read: bool = False) -> str:
        """Return the address of a file in the first place that has it, "" if none has. With `read` a folder's file is
        read and checked; a server is only asked whether it has one."""
        for place in self._left():
            if self._asked(place, hash, lambda place: place.has(hash, read=read)):
                return file_at(place.name, hash)
        return ""

    def problems(self, hash: str) -> list[str]:
        """Return why a file does not come from a place, as lines of a message."""
        return [f"{file_at(place.name, hash)}: not there" for place in self._left()]

    def _left(self) -> Iterator[Place]:
        """Yield the places that did not fail so far."""
        for place in self._places:
            if place.name not in self._failed:
                yield place

    def _asked(self, place: Place, hash: str, ask: Callable[[Place], bool]) -> bool:
        """Return what a place answers; False, with a warning, if it can't or what it has is not the file."""
        try:
            return ask(place)
        except PlaceFailed as error:
            self._fail(place, str(error))
        except BadFile as error:
            self._warn(f"{file_at(place.name, hash)}: {error}: it is not used")
        except NotReadable as error:
            if self._is_new(place, self._private):  # the rest of the place may be for all
                self._warn(f"{file_at(place.name, hash)}: {error}: it is not used, nor others like it")
        return False

    def _take_into(self, cache: Cache, package: Package, progress: Progress) -> bool:
        # Not what a broken download left: what a place gave may be anything, until it is whole.
        path = f"{cache.where(package)}.place"
        _remove(path)
        try:
            if not self.take(package.hash, path, progress):
                return False
            cache.keep(path, package)
            return True
        finally:
            _remove(path)

    def _fail(self, place: Place, reason: str) -> None:
        if self._is_new(place, self._failed):
            self._warn(f"the place {place.name} is left out: {reason}")

    def _is_new(self, place: Place, known: set[str]) -> bool:
        with self._lock:
            new = place.name not in known
            known.add(place.name)
        return new


def _greeting(place: Place) -> str:
    """Return why a place can't be used, or _IS_THERE: "" is what is left of a process that ended without an answer."""
    return place.greet() or _IS_THERE


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
