"""Where a command's standard streams lead: to the log of a background instance, or to who runs it in the foreground."""

from __future__ import annotations

import os
from collections.abc import Callable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Streams(Protocol):
        """What a supervisor asks of them, for each run of the command anew."""

        def open(self) -> tuple[int, int, int]:
            """The command's standard input, output and errors."""

        def started(self) -> None:
            """The command has them."""

        def finish(self) -> None:
            """The command is over, and all that it printed has to arrive."""

        terminal: Callable[[int], None] | None
        """Gets the master side of the command's own terminal, if it is to have one."""


class LogStreams:
    """Nothing to read; what is printed goes to the log."""

    terminal: Callable[[int], None] | None = None

    def __init__(self, path: str) -> None:
        from envbuild.runtime.logs import LogWriter  # only in the background

        self._log = LogWriter(path)
        self._opened: tuple[int, ...] = ()

    def open(self) -> tuple[int, int, int]:
        from envbuild.runtime.logs import ERR, OUT

        opened: list[int] = []
        try:
            out = os.pipe2(os.O_CLOEXEC)
            opened += out
            err = os.pipe2(os.O_CLOEXEC)
            opened += err
            nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            for descriptor in opened:
                os.close(descriptor)
            raise
        self._log.follow(out[0], OUT)
        self._log.follow(err[0], ERR)
        self._opened = (nothing, out[1], err[1])
        return nothing, out[1], err[1]

    def started(self) -> None:
        for descriptor in self._opened:
            os.close(descriptor)
        self._opened = ()

    def finish(self) -> None:
        self.started()
        self._log.finish()


class OwnStreams:
    """This process's own, or a terminal that is joined with its own."""

    def __init__(self, terminal: Callable[[int], None] | None = None) -> None:
        self.terminal = terminal

    def open(self) -> tuple[int, int, int]:
        return 0, 1, 2

    def started(self) -> None:
        pass

    def finish(self) -> None:
        pass
