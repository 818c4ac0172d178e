"""The standard streams of a command: to the log in the background, or to the user in the foreground."""

from __future__ import annotations

import os
import select
import stat
from _thread import start_new_thread

from envbuild.contexts import contextmanager
from envbuild.linux.latch import Latch
from envbuild.sandbox.stdio import is_pipe

_CHUNK = 1 << 16

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
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
    """This process's own, or a terminal that is joined with its own.

    Output goes through a pipe where the command could not open /dev/stdout again: a pipe can be given to the command's
    user, who may have `other_ids` than this process, and a file of this user's can't.
    """

    def __init__(self, terminal: Callable[[int], None] | None = None, *, other_ids: bool = True) -> None:
        self.terminal = terminal
        self._other_ids = other_ids
        self._relays: dict[tuple[int, int], _Relay] = {}

    def open(self) -> tuple[int, int, int]:
        if self.terminal is not None:
            return 0, 1, 2
        return 0, self._through(1), self._through(2)

    def started(self) -> None:
        for relay in self._relays.values():
            relay.hand_over()

    def finish(self, *, all_writers: bool = True) -> None:
        """Wait until all has arrived that was written; without `all_writers` those that still live are left alone."""
        self.started()
        relays, self._relays = self._relays, {}
        for relay in relays.values():
            relay.finish(all_writers=all_writers)

    def _through(self, descriptor: int) -> int:
        """Return the descriptor, or a pipe that leads to it."""
        status = os.fstat(descriptor)
        if not _needs_pipe(descriptor, status, self._other_ids):
            return descriptor
        key = status.st_dev, status.st_ino
        if key not in self._relays:
            self._relays[key] = _Relay(descriptor)
        return self._relays[key].writing


def is_root(user: str) -> bool:
    """Tell whether this is root, as a request has its user."""
    return user.partition(":")[0] in ("", "root", "0")


@contextmanager
def entered_streams(user: str) -> Iterator[OwnStreams]:
    """Yield this process's streams for a command of this user that is entered into an instance. This process is in no
    namespace."""
    streams = OwnStreams(other_ids=os.geteuid() == 0 or not is_root(user))
    try:
        yield streams
    finally:
        # What the command leaves running may have its output for as long as it likes.
        streams.finish(all_writers=False)


def _needs_pipe(descriptor: int, status: os.stat_result, other_ids: bool) -> bool:
    """Tell whether the command could not open what this descriptor is, or would harm it."""
    if stat.S_ISREG(status.st_mode):
        return True  # opened again it would be written from its beginning, over what is there
    if is_pipe(descriptor):
        return status.st_uid != os.geteuid()  # one's own is given to the command's user (sandbox/stdio.py)
    if stat.S_ISSOCK(status.st_mode):
        return False  # nobody can open it
    return other_ids and not status.st_mode & stat.S_IWOTH


class _Relay:
    """Copies what comes through a pipe to a file, in a thread."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._reading, self.writing = os.pipe2(os.O_CLOEXEC)
        self._problem: OSError | None = None
        self._ending, self._end = os.pipe2(os.O_CLOEXEC)
        self._done = Latch()
        start_new_thread(self._copy, ())

    def hand_over(self) -> None:
        """The command has the writing end."""
        if self.writing >= 0:
            os.close(self.writing)
            self.writing = -1

    def finish(self, *, all_writers: bool) -> None:
        """Wait until all has arrived, of all writers or of those that have ended. Raises OSError if it could not."""
        if not all_writers:
            os.set_blocking(self._reading, False)
            os.write(self._end, b"e")
        self._done.wait()
        for descriptor in (self._reading, self._ending, self._end):
            os.close(descriptor)
        if self._problem is not None:
            raise self._problem

    def _copy(self) -> None:
        try:
            self._copy_all()
        finally:
            self._done.set()

    def _copy_all(self) -> None:
        poller = select.poll()
        for descriptor in (self._reading, self._ending):
            poller.register(descriptor, select.POLLIN)
        while True:
            ready = dict(poller.poll())
            try:
                data = os.read(self._reading, _CHUNK) if self._reading in ready else b""
            except BlockingIOError:
                data = b""
            if not data:
                return  # all writers are gone, or what those have written that are
            if self._problem is None:  # after it, whoever writes is not kept waiting
                self._write(data)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._target, view) :]
        except OSError as error:
            self._problem = error
