"""The contents of files as git keeps them: no filter, converter or line end of the user's or of the repository's."""

from __future__ import annotations

import os
import subprocess
from contextlib import ExitStack
from types import TracebackType

from envbuild.errors import UsageError
from envbuild.git.program import SECONDS, GitTooSlow, running

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

_CHUNK = 1 << 20
_WORDS = ("cat-file", "--batch")


class BlobTooLarge(UsageError):
    """A file of a commit is larger than what is read of it."""

    def __init__(self, size: int, most: int) -> None:
        super().__init__(f"it has {size} bytes, and at most {most} are read", "keep what is so large out of git")


class NoBlob(UsageError):
    """git lacks the content of a file that it lists."""

    def __init__(self, oid: str) -> None:
        super().__init__(
            f"git does not have the content {oid[:12]}",
            "the clone is partial or damaged: git fsck; git fetch gets what a partial clone left out",
        )


class Blobs:
    """One git that gives contents by their ids. Use it as a context manager."""

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

    def read(self, oid: str, most: int) -> bytes:
        """The content. Raises BlobTooLarge, NoBlob and GitTooSlow."""
        size = self._ask(oid, most)
        content = self._take(size)
        self._take(1)
        return content

    def copy(self, oid: str, target: int, most: int) -> int:
        """Writes the content to a descriptor and returns its size. Raises what `read` does, and OSError."""
        size = left = self._ask(oid, most)
        while left:
            chunk = memoryview(self._take(min(left, _CHUNK)))
            left -= len(chunk)
            while chunk:
                chunk = chunk[os.write(target, chunk) :]
        self._take(1)
        return size

    def _ask(self, oid: str, most: int) -> int:
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
        if len(words) != 3 or words[1] != b"blob":
            raise NoBlob(oid)
        size = int(words[2])
        if size > most:
            raise BlobTooLarge(size, most)
        return size

    def _take(self, size: int) -> bytes:
        assert self._child.stdout is not None
        taken = self._child.stdout.read(size)
        if len(taken) < size:
            raise GitTooSlow(_WORDS, self._seconds)
        return taken
