"""The standard streams of a command: to the log in the background, or to the user in the foreground."""

from __future__ import annotations

import os
import stat

_CHUNK = 1 << 16

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    class Streams(Protocol):
        """What a supervisor asks of them, for each run of the command anew."""

        def open(self) -> tuple[int, int, int]:
            """Return the command's standard input, output and errors."""

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
        from envbuild.instances.logs import LogWriter  # only in the background

        self._log = LogWriter(path)
        self._opened: tuple[int, ...] = ()

    def open(self) -> tuple[int, int, int]:
        from envbuild.instances.logs import ERR, OUT

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
        self._relays: dict[tuple[int, int], _Relay] = {}

    def open(self) -> tuple[int, int, int]:
        if self.terminal is not None or os.geteuid() != 0:
            return 0, 1, 2
        return 0, self._through(1), self._through(2)

    def started(self) -> None:
        for relay in self._relays.values():
            relay.hand_over()

    def finish(self) -> None:
        self.started()
        for relay in self._relays.values():
            relay.finish()
        self._relays = {}

    def _through(self, descriptor: int) -> int:
        """Return the descriptor, or for a file a pipe that leads to it: of root's files nobody inside could open
        /dev/stdout again, as sandboxes of root have other ids."""
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return descriptor
        key = status.st_dev, status.st_ino
        if key not in self._relays:
            self._relays[key] = _Relay(descriptor)
        return self._relays[key].writing


class _Relay:
    """Copies what comes through a pipe to a file, in a thread."""

    def __init__(self, target: int) -> None:
        import threading  # only where output goes to a file

        self._target = target
        self._reading, self.writing = os.pipe2(os.O_CLOEXEC)
        self._problem: OSError | None = None
        self._thread = threading.Thread(target=self._copy, name="output", daemon=True)
        self._thread.start()

    def hand_over(self) -> None:
        """The command has the writing end."""
        if self.writing >= 0:
            os.close(self.writing)
            self.writing = -1

    def finish(self) -> None:
        """Wait until all has arrived. Raises OSError if it could not."""
        self._thread.join()
        os.close(self._reading)
        if self._problem is not None:
            raise self._problem

    def _copy(self) -> None:
        try:
            while data := os.read(self._reading, _CHUNK):
                view = memoryview(data)
                while view:
                    view = view[os.write(self._target, view) :]
        except OSError as error:
            self._problem = error
            while os.read(self._reading, _CHUNK):
                pass  # whoever writes is not kept waiting
