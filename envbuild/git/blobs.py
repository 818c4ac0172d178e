"""File contents as git stores them: no filter, conversion or line ending of the user's or the repository's settings
applies."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType

from envbuild.errors import UsageError, fields
from envbuild.git.program import SECONDS, GitTooSlow, running

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

_CHUNK = 1 << 20
_WORDS = ("cat-file", "--batch")


@fields
class BlobTooLarge(UsageError):
    """A file in a commit is larger than envbuild reads."""

    size: int
    limit: int

    def text(self) -> tuple[str, str]:
        return f"it has {self.size} bytes, and at most {self.limit} are read", "keep files of this size out of git"


@fields
class NoBlob(UsageError):
    """git lists a file and does not have its content."""

    oid: str

    def text(self) -> tuple[str, str]:
        return (
            f"git does not have the content {self.oid[:12]}",
            "the clone is partial or damaged: check it with git fsck; git fetch gets what a partial clone left out",
        )


class Blobs:
    """A running git that returns contents by their ids. Use it as a context manager."""

    def __init__(self, folder: str, seconds: float = SECONDS) -> None:
        self._folder = folder
        self._seconds = seconds
        self._held = ExitStack()
        self._child: subprocess.Popen[bytes]

    def __enter__(self) -> Self:
        git = running(self._folder, _WORDS, stdin=subprocess.PIPE, seconds=self._seconds)
        self._child = self._held.enter_context(git)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()

    def read(self, oid: str, limit: int, kind: str = "blob") -> bytes:
        """Return the content. Raises BlobTooLarge, NoBlob and GitTooSlow."""
        with self.content(oid, limit, kind) as (size, take):
            return take(size)

    def copy(self, oid: str, target: int, limit: int) -> int:
        """Write the content to a descriptor and return its size. Raises what `read` does, and OSError."""
        with self.content(oid, limit) as (size, take):
            left = size
            while left:
                chunk = memoryview(take(min(left, _CHUNK)))
                left -= len(chunk)
                while chunk:
                    chunk = chunk[os.write(target, chunk) :]
        return size

    @contextmanager
    def content(self, oid: str, limit: int, kind: str = "blob") -> Iterator[tuple[int, Callable[[int], bytes]]]:
        """Yield the size of an object, of which all has to be read, and what returns its next bytes. `kind` is git's
        word for what it is. Raises what `read` does."""
        yield self._ask(oid, limit, kind.encode()), self._take
        self._take(1)

    def _ask(self, oid: str, limit: int, kind: bytes) -> int:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        try:
            self._child.stdin.write(oid.encode() + b"\n")
            self._child.stdin.flush()
        except BrokenPipeError:
            raise GitTooSlow(_WORDS, self._seconds) from None
        words = self._child.stdout.readline(1024).split()
        if not words:
            raise GitTooSlow(_WORDS, self._seconds) if self._child.poll() is not None else NoBlob(oid)
        if len(words) != 3 or words[1] != kind:
            raise NoBlob(oid)
        size = int(words[2])
        if size > limit:
            raise BlobTooLarge(size, limit)
        return size

    def _take(self, size: int) -> bytes:
        assert self._child.stdout is not None
        content = self._child.stdout.read(size)
        if len(content) < size:
            raise GitTooSlow(_WORDS, self._seconds)
        return content
