"""A command of envbuild that goes on after the one that began it.

Its process is forked at once, while that is the user's own with one thread: later it may have entered a user namespace,
in which the user is root, and none could leave it.
"""

from __future__ import annotations

import os
import sys
from types import TracebackType

from envbuild.linux import syscalls
from envbuild.linux.forked import run_detached
from envbuild.text import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

NICENESS = 10
"""The commands that are run meanwhile go first."""
_HELD = 3
"""The descriptor that shows as long as the process lives."""
_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_PROGRAM = "import sys; sys.path.insert(0, sys.argv.pop(1)); from envbuild.__main__ import main; main()"


class Background:
    """A process that waits to be told which command it becomes. Use it as a context manager: in the end it goes, unless
    it was told."""

    def __enter__(self) -> Self:
        reading, self._writing = os.pipe2(os.O_CLOEXEC)
        self._life, held = os.pipe2(os.O_CLOEXEC)
        run_detached(lambda: self._wait(reading, held))
        os.close(reading)
        os.close(held)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._let_go()
        os.close(self._life)

    def become(self, words: Sequence[str]) -> None:
        """Have it run `envbuild WORDS` with this process's environment, in its directory. Nobody sees its output."""
        os.write(self._writing, json.dumps(list(words)).encode())
        self._let_go()

    def wait(self) -> None:
        """Wait until it has ended."""
        os.read(self._life, 1)  # nothing is ever written: it closes with the process

    def _let_go(self) -> None:
        if self._writing >= 0:
            os.close(self._writing)
            self._writing = -1

    def _wait(self, reading: int, held: int) -> None:
        self._let_go()
        os.close(self._life)
        parts = []
        while part := os.read(reading, 1 << 16):
            parts.append(part)
        if not parts:
            return
        words = json.loads(b"".join(parts))
        nothing = os.open(os.devnull, os.O_RDWR)
        for target in (0, 1, 2):
            os.dup2(nothing, target)
        os.dup2(held, _HELD)
        # The locks and other pipes of who started this are not to be held by it.
        syscalls.close_range(_HELD + 1, on_exec=False)
        os.nice(NICENESS)
        # Without the current directory among its modules: a repository may have a directory `envbuild`.
        os.execv(sys.executable, [sys.executable, "-P", "-c", _PROGRAM, _ROOT, *words])
