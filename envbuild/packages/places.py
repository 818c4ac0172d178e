"""The team's places: folders and web servers that have files by their hashes, at PLACE/ALGORITHM/DIGITS.

A place is trusted with nothing. What it gives is what the hash says, or it is not taken; one that does not answer costs
a warning and a moment, and the file comes from elsewhere.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from functools import partial

from envbuild.linux.in_time import answers_in_time
from envbuild.lockfile.lock import Package
from envbuild.packages.addresses import WebAddress, without_user
from envbuild.packages.cache import NOT_THERE, Address, Cache, Transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.packages.connections import Answer, Connections

MAX_WAIT = 2.0
"""Seconds that all places together have to show that they are there."""
PATIENCE = 5.0
"""Seconds that a place may send nothing, or too little, before it counts as down."""
MIN_RATE = 16 << 10
"""Bytes a second that a file arrives with at least, once PATIENCE has passed."""
_CHUNK = 1 << 18
_ANSWERS = "answers"

Progress = Callable[[int], None]
"""Gets the bytes that arrived since the last call."""


class _PlaceFailed(Exception):
    """A place can't be used at all."""


class _BadFile(Exception):
    """A place has something else than the file."""


class Places:
    """The places of one build, the first one first."""

    def __init__(self, places: Sequence[str], most: int, home: str, warn: Callable[[str], None]) -> None:
        """`places` are absolute paths and web addresses, `most` the bytes that one file may have. In the user's `home`
        are the passwords for places."""
        self._places = tuple(dict.fromkeys(places))
        self._most = most
        self._home = home
        self._warn = warn
        self._failed: set[str] = set()
        self._connected: dict[str, Connections] = {}
        self._lock = threading.Lock()

    @property
    def any(self) -> bool:
        """Whether there is a place that can be asked."""
        return len(self._failed) < len(self._places)

    def leave_out_silent(self) -> None:
        """Warn of the places that do not answer within MAX_WAIT seconds, and ask them for nothing.

        Called while this process has one thread.
        """
        answers = answers_in_time([partial(self._greet, place) for place in self._places], MAX_WAIT)
        for place, answer in zip(self._places, answers, strict=True):
            if answer != _ANSWERS:
                self._fail(place, answer or f"it does not answer within {MAX_WAIT:.0f} seconds")

    def bring(self, cache: Cache, packages: Sequence[Package], progress: Callable[[int, int], None]) -> list[Package]:
        """Bring files of packages into a cache; return the packages that no place has. `progress` gets the bytes so
        far, and 0."""
        if not self.any:
            return list(packages)
        from concurrent.futures import ThreadPoolExecutor  # only where there are places

        from envbuild.packages.connections import MAX_PARALLEL

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
            found = list(pool.map(bring_one, packages))
        return [package for package, here in zip(packages, found, strict=True) if not here]

    def take(self, hash: str, path: str, progress: Progress = lambda size: None) -> bool:
        """Write the file of a hash to `path`, which does not exist; return whether a place has it."""
        for place in self._places:
            if place in self._failed:
                continue
            try:
                if self._take(place, hash, path, progress):
                    return True
            except _PlaceFailed as error:
                self._fail(place, str(error))
            except _BadFile as error:
                self._warn(f"{_file_at(without_user(place), hash)}: {error}: it is not used")
            _remove(path)
        return False

    def find(self, hash: str, *, read: bool = False) -> str:
        """Return the address of a file in the first place that has it, "" if none has. With `read` a folder's file is
        read and checked; a server is only asked whether it has one."""
        for place in self._places:
            if place in self._failed:
                continue
            try:
                if self._has(place, hash, read):
                    return _file_at(without_user(place), hash)
            except _PlaceFailed as error:
                self._fail(place, str(error))
            except _BadFile as error:
                self._warn(f"{_file_at(without_user(place), hash)}: {error}")
        return ""

    def problems(self, hash: str) -> list[str]:
        """Return why a file does not come from a place, as lines of a message."""
        asked = [place for place in self._places if place not in self._failed]
        return [f"{_file_at(without_user(place), hash)}: not there" for place in asked]

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

    def _fail(self, place: str, reason: str) -> None:
        with self._lock:
            known = place in self._failed
            self._failed.add(place)
        if not known:
            self._warn(f"the place {without_user(place)} is left out: {reason}")

    def _greet(self, place: str) -> str:
        """Return _ANSWERS for a place that is there, or why it is not."""
        if not _is_web(place):
            try:
                return _ANSWERS if stat.S_ISDIR(os.stat(place).st_mode) else "it is not a directory"
            except OSError as error:
                return str(error.strerror)
        from urllib3.exceptions import HTTPError

        from envbuild.packages.connections import Refused
        from envbuild.packages.download import cause

        try:
            with self._connections(place).open(f"{place}/", {}, method="HEAD") as answer:
                # 501: it has files, and doesn't know HEAD.
                return _ANSWERS if answer.status < 500 or answer.status == 501 else _status(answer)
        except Refused:
            return _ANSWERS  # sent on to where we don't go: that is about this page
        except HTTPError as error:
            return cause(error)

    def _take(self, place: str, hash: str, path: str, progress: Progress) -> bool:
        with open(path, "wb") as file:
            try:
                self._read(place, hash, file.write, progress)
            except FileNotFoundError:
                return False
        return True

    def _has(self, place: str, hash: str, read: bool) -> bool:
        if _is_web(place):
            from envbuild.packages.presence import absence

            reason = absence(self._connections(place), Address(_file_at(place, hash)))
            if reason is not None and reason.failed:
                raise _PlaceFailed(reason.text)
            return reason is None
        if not read:
            return os.path.isfile(_file_at(place, hash))
        try:
            self._read(place, hash, lambda chunk: None, lambda size: None)
        except FileNotFoundError:
            return False
        return True

    def _read(self, place: str, hash: str, write: Callable[[bytes], object], progress: Progress) -> None:
        """Give what a place has as a file to `write`. Raises FileNotFoundError, _PlaceFailed and _BadFile."""
        state = hashlib.new(hash.partition(":")[0])
        size = 0
        chunks = self._web_chunks(place, hash) if _is_web(place) else _folder_chunks(place, hash)
        with closing(chunks):
            for chunk in chunks:
                size += len(chunk)
                if size > self._most:
                    raise _BadFile(f"it is larger than {self._most} bytes")
                state.update(chunk)
                write(chunk)
                progress(len(chunk))
        if state.hexdigest() != hash.partition(":")[2]:
            raise _BadFile("it is another file than its name says")

    def _web_chunks(self, place: str, hash: str) -> Generator[bytes]:
        from urllib3.exceptions import HTTPError

        from envbuild.packages.download import cause

        try:
            with self._connections(place).open(_file_at(place, hash), {}) as answer:
                if answer.status in NOT_THERE:
                    raise FileNotFoundError
                if answer.status != 200:
                    raise _PlaceFailed(_status(answer))
                started, size = time.monotonic(), 0
                for chunk in answer.pieces():
                    yield chunk
                    size += len(chunk)
                    waited = time.monotonic() - started
                    if waited > PATIENCE and size < waited * MIN_RATE:
                        raise _PlaceFailed(f"it sends less than {MIN_RATE} bytes a second")
        except HTTPError as error:
            raise _PlaceFailed(cause(error)) from error

    def _connections(self, place: str) -> Connections:
        from urllib3 import Timeout

        from envbuild.packages.connections import Connections
        from envbuild.packages.credentials import headers_of

        with self._lock:
            if place not in self._connected:
                # Nobody else's passwords: a place may send us on to anywhere.
                own = WebAddress(without_user(place)).server
                headers = [
                    header
                    for header in headers_of([place], [f"{self._home}/.netrc"])
                    if WebAddress(header[0]).server == own
                ]
                self._connected[place] = Connections(
                    Transport(headers=tuple(headers)), Timeout(connect=MAX_WAIT, read=PATIENCE)
                )
            return self._connected[place]


def _folder_chunks(place: str, hash: str) -> Generator[bytes]:
    """Yield a plain file's content: a FIFO is not waited for, a link not followed. Raises FileNotFoundError too."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC
    try:
        descriptor = os.open(_file_at(place, hash), flags)
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError from None
    except OSError as error:
        raise _BadFile("it is a link" if error.errno == errno.ELOOP else str(error.strerror)) from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _BadFile("it is not a plain file")
        while True:
            try:
                chunk = os.read(descriptor, _CHUNK)
            except OSError as error:
                raise _PlaceFailed(str(error.strerror)) from error
            if not chunk:
                return
            yield chunk
    finally:
        os.close(descriptor)


def _is_web(place: str) -> bool:
    return not place.startswith("/")


def _file_at(place: str, hash: str) -> str:
    return f"{place}/{hash.replace(':', '/')}"


def _status(answer: Answer) -> str:
    return f"it answers {answer.status} {answer.reason}"


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
