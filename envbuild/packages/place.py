"""One place that has files by their hashes, at PLACE/ALGORITHM/DIGITS: a folder or a web server. Neither is trusted."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from collections.abc import Callable, Generator
from contextlib import closing
from functools import cached_property

from envbuild.http.addresses import WebAddress, without_user
from envbuild.http.transport import Transport
from envbuild.packages.cache import NOT_THERE, Address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from envbuild.http.connections import Connections
else:
    Protocol = object

CONNECT_SECONDS = 2.0
PATIENCE = 5.0
"""Seconds that a server may send nothing, or too little, before it counts as down."""
MIN_RATE = 16 << 10
"""Bytes a second that a file arrives with at least, once PATIENCE has passed."""
MAX_ATTEMPTS, PAUSE = 2, 0.5
"""How often a server is asked for a file if the connection breaks, and the seconds between."""
_BUSY = (429, 500, 502, 503, 504)
_CHUNK = 1 << 18

Progress = Callable[[int], None]
"""Gets the bytes that arrived since the last call."""


class PlaceFailed(Exception):
    """A place can't be used."""


class BadFile(Exception):
    """A place has something else than the file."""


class NotReadable(Exception):
    """A place has a file, and this user may not read it."""


class _Broken(PlaceFailed):
    """A failure that may pass."""


class Place(Protocol):
    """A place. `name` is what messages call it."""

    name: str

    def greet(self) -> str:
        """Return "" if the place is there, else why it can't be used. This may take for ever."""

    def has(self, hash: str, *, read: bool) -> bool:
        """Return whether the place has the file of a hash. With `read` that of a folder is read and checked. Raises
        what `take` raises."""

    def take(self, hash: str, path: str, progress: Progress) -> bool:
        """Write the file of a hash, of which all is checked, to `path`; return whether the place has it. Raises
        PlaceFailed, BadFile and NotReadable; what is at `path` then is nothing."""


def place_of(text: str, most: int, home: str) -> Place:
    """Return the place at an absolute path or an address. One file may have `most` bytes; in the user's `home` are
    passwords for servers."""
    return FolderPlace(text, most) if text.startswith("/") else WebPlace(text, most, home)


def file_at(place: str, hash: str) -> str:
    """Return where a place has the file of a hash."""
    return f"{place}/{hash.replace(':', '/')}"


class FolderPlace:
    """A folder of this machine or of a file server."""

    def __init__(self, path: str, most: int) -> None:
        self.name = path
        self._most = most

    def greet(self) -> str:
        """Return "" if it is a folder that the user may enter, else why not."""
        try:
            os.stat(f"{self.name}/.")
        except OSError as error:
            return str(error.strerror)
        return ""

    def has(self, hash: str, *, read: bool) -> bool:
        """Return whether the folder has the file of a hash."""
        if not read:
            return os.path.isfile(file_at(self.name, hash))
        try:
            _check(self._chunks(hash), hash, self._most, lambda chunk: None, lambda size: None)
        except FileNotFoundError:
            return False
        return True

    def take(self, hash: str, path: str, progress: Progress) -> bool:
        """Copy the file of a hash to `path`; return whether the folder has it."""
        with open(path, "wb") as file:
            try:
                _check(self._chunks(hash), hash, self._most, file.write, progress)
            except FileNotFoundError:
                return False
        return True

    def _chunks(self, hash: str) -> Generator[bytes]:
        """Yield a plain file's content: a FIFO is not waited for, a link not followed. Raises FileNotFoundError too."""
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC
        try:
            descriptor = os.open(file_at(self.name, hash), flags)
        except (FileNotFoundError, NotADirectoryError):
            raise FileNotFoundError from None
        except PermissionError as error:
            raise NotReadable(str(error.strerror)) from error
        except OSError as error:
            raise BadFile("it is a link" if error.errno == errno.ELOOP else str(error.strerror)) from error
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise BadFile("it is not a plain file")
            while chunk := _read(descriptor):
                yield chunk
        finally:
            os.close(descriptor)


class WebPlace:
    """A web server that serves such a folder."""

    def __init__(self, address: str, most: int, home: str) -> None:
        self.name = without_user(address)
        self._address = address
        self._most = most
        self._home = home

    def greet(self) -> str:
        """Return "" if the server answers, whatever it says of the folder itself; else why it does not."""
        from urllib3.exceptions import HTTPError

        from envbuild.http.connections import Refused, cause

        try:
            with self._connections.open(f"{self.name}/", {}, method="HEAD") as answer:
                # 501: it has files, and doesn't know HEAD.
                down = answer.status >= 500 and answer.status != 501
                return f"it answers {answer.status} {answer.reason}" if down else ""
        except Refused:
            return ""  # sent on to where we don't go: that is about this page
        except HTTPError as error:
            return cause(error)

    def has(self, hash: str, *, read: bool) -> bool:
        """Return whether the server says that it has the file of a hash."""
        from envbuild.packages.presence import absence

        missing = absence(self._connections, Address(file_at(self.name, hash)))
        if missing is not None and missing.failed:
            raise PlaceFailed(missing.text)
        return missing is None

    def take(self, hash: str, path: str, progress: Progress) -> bool:
        """Download the file of a hash to `path`; return whether the server has it."""
        for attempt in range(1, MAX_ATTEMPTS + 1):
            with open(path, "wb") as file:
                try:
                    _check(self._chunks(hash), hash, self._most, file.write, progress)
                    return True
                except FileNotFoundError:
                    return False
                except _Broken:
                    if attempt == MAX_ATTEMPTS:
                        raise
            time.sleep(PAUSE)
        raise AssertionError("the last attempt raises or returns")

    def _chunks(self, hash: str) -> Generator[bytes]:
        from urllib3.exceptions import HTTPError, ProtocolError

        from envbuild.http.connections import cause

        try:
            with self._connections.open(file_at(self.name, hash), {}) as answer:
                if answer.status in NOT_THERE:
                    raise FileNotFoundError
                if answer.status != 200:
                    kind = _Broken if answer.status in _BUSY else PlaceFailed
                    raise kind(f"it answers {answer.status} {answer.reason}")
                started, size = time.monotonic(), 0
                for chunk in answer.pieces():
                    yield chunk
                    size += len(chunk)
                    waited = time.monotonic() - started
                    if waited > PATIENCE and size < waited * MIN_RATE:
                        raise PlaceFailed(f"it sends less than {MIN_RATE} bytes a second")
                if answer.length not in (0, size):
                    raise _Broken("it broke off in the middle of a file")
        except ProtocolError as error:
            raise _Broken(cause(error)) from error
        except HTTPError as error:
            raise PlaceFailed(cause(error)) from error

    @cached_property
    def _connections(self) -> Connections:
        from urllib3 import Timeout

        from envbuild.http.connections import Connections
        from envbuild.packages.credentials import headers_of

        # Nobody else's passwords: a place may send us on to anywhere.
        own = WebAddress(self.name).server
        headers = headers_of([self._address], [f"{self._home}/.netrc"])
        kept = tuple(header for header in headers if WebAddress(header[0]).server == own)
        return Connections(Transport(headers=kept), Timeout(connect=CONNECT_SECONDS, read=PATIENCE))


def _check(
    chunks: Generator[bytes], hash: str, most: int, write: Callable[[bytes], object], progress: Progress
) -> None:
    """Give the chunks of a file to `write`. Raises BadFile if they are not the file of the hash."""
    state = hashlib.new(hash.partition(":")[0])
    size = 0
    with closing(chunks):
        for chunk in chunks:
            size += len(chunk)
            if size > most:
                raise BadFile(f"it is larger than {most} bytes")
            state.update(chunk)
            write(chunk)
            progress(len(chunk))
    if state.hexdigest() != hash.partition(":")[2]:
        raise BadFile("it is another file than its name says")


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, _CHUNK)
    except OSError as error:
        raise PlaceFailed(str(error.strerror)) from error
