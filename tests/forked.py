"""Commands of envbuild without the start of a Python for each: forked from a process that has loaded envbuild.

A test's command costs 3 ms this way in place of 40 ms of imports, and a build does without another 150 for the
grammar's tables. What runs them is in fork_server.py. For the command it looks like a start: its words, folder,
variables, standard streams, umask and command line in /proc are its own, and no other descriptor is open but one that
goes to no program. What the interpreter or the C library reads at its start can't be given to a fork, nor can limits
of the process: such commands, those of the tests of faults and of start-up, and all with $ENVBUILD_TESTS_REAL_START
set, are started as a user starts them.

    server = ForkServer()
    done = server.run(["ps", "--all"], folder, variables)
"""

from __future__ import annotations

import json
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from threading import Lock

from tests import reused

READ_AT_START = ("PYTHON", "LANG", "LC_", "LD_", "TZ", "MALLOC", "GLIBC", "FAKETIME")
"""How the names of variables begin that count before the first line of envbuild runs."""
ENVBUILD = "envbuild.__main__:command_line"
ROOM = 64 << 10
"""Bytes of the server's command line that a command may have for its own."""
REUSABLE, ALONE = b"reusable", b"alone"
"""What the server is asked for: a process that may run other commands before or after, or one of the command's own. A
function that makes a call of envbuild fail leaves a process in which it fails."""


def started(entry: str) -> list[str]:
    """The first words of a command that calls this without a fork server."""
    return (
        [sys.executable, "-m", "envbuild"]
        if entry == ENVBUILD
        else [sys.executable, "-m", "tests.forked", "call", entry]
    )


def can_be_forked(variables: Mapping[str, str]) -> bool:
    """Whether a fork of a process with this one's variables can stand for one that is started with these."""

    def read_at_start(of: Mapping[str, str]) -> dict[str, str]:
        return {name: value for name, value in of.items() if name.startswith(READ_AT_START)}

    return not os.environ.get("ENVBUILD_TESTS_REAL_START") and read_at_start(variables) == read_at_start(os.environ)


class ForkServer:
    """The process that commands are forked from, as this one sees it. Threads may share it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        words = [sys.executable, "-m", "tests.fork_server", str(theirs.fileno()), " " * ROOM]
        self.process = subprocess.Popen(
            words, cwd=Path(__file__).parents[1], pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
        )
        theirs.close()

    def close(self) -> None:
        self._control.close()
        self.process.wait()

    def run(
        self,
        words: Sequence[str],
        folder: Path,
        variables: Mapping[str, str],
        stdin: bytes | None = None,
        timeout: float = 300,
        entry: str = ENVBUILD,
    ) -> subprocess.CompletedProcess[bytes]:
        """Runs `envbuild WORDS` and collects what it prints, as subprocess.run does. Raises TimeoutExpired.

        `entry`, "MODULE:FUNCTION", is called instead of envbuild's main function; it finds the words in sys.argv and
        returns the exit code.
        """
        ours: list[int] = []
        theirs: list[int] = []

        def pipe(to_command: bool) -> None:
            reading, writing = os.pipe2(os.O_CLOEXEC)
            (theirs if to_command else ours).append(reading)
            (ours if to_command else theirs).append(writing)

        state, their_state = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        asked = os.memfd_create("command")
        os.write(
            asked,
            json.dumps([entry, list(words), str(folder), dict(variables), _umask()]).encode("utf-8", "surrogateescape"),
        )
        try:
            pipe(True) if stdin is not None else theirs.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
            pipe(False)
            pipe(False)
            with self._lock:
                message = REUSABLE if entry == ENVBUILD else ALONE
                socket.send_fds(self._control, [message], [asked, *theirs, their_state.fileno()])
        finally:
            their_state.close()
            for descriptor in (asked, *theirs):
                os.close(descriptor)
        with state, _Command(int(state.recv(100))) as command:
            try:
                outputs = _converse(ours, stdin, timeout, lambda: command.send(reused.TRACE))
                state.settimeout(timeout)
                answer = state.recv(100)
            except TimeoutError as late:
                if not select.select([state], [], [], 0)[0]:  # it may run another one by now
                    command.send(signal.SIGKILL)
                expired = subprocess.TimeoutExpired(list(words), timeout)
                expired.add_note(str(late))
                raise expired from None
        assert answer, "the fork server ended"
        return subprocess.CompletedProcess(list(words), os.waitstatus_to_exitcode(int(answer)), *outputs)


class _Command:
    """A command that may have ended: a signal goes to no other process that got its number."""

    def __init__(self, pid: int) -> None:
        try:
            self._descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            self._descriptor = -1

    def __enter__(self) -> _Command:
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def send(self, number: int) -> None:
        """Sends it a signal, if it is there."""
        try:
            signal.pidfd_send_signal(self._descriptor, number)
        except OSError:
            pass


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _converse(
    descriptors: list[int], stdin: bytes | None, timeout: float, ask: Callable[[], None]
) -> tuple[bytes, bytes]:
    """Writes `stdin` (to the first, unless it is None) and reads the two outputs to their ends; closes them all.

    Calls `ask` when it is late, which has the command print where it is, and raises TimeoutError with all that it has
    printed.
    """
    end, asked = time.monotonic() + timeout, False
    pieces: dict[int, list[bytes]] = {descriptor: [] for descriptor in descriptors[-2:]}
    with selectors.DefaultSelector() as selector:
        rest = memoryview(stdin or b"")
        if stdin is not None:
            os.set_blocking(descriptors[0], False)
            selector.register(descriptors[0], selectors.EVENT_WRITE)
        for descriptor in pieces:
            selector.register(descriptor, selectors.EVENT_READ)
        try:
            while selector.get_map():
                left = end - time.monotonic()
                if left < 0:
                    if asked:
                        printed = b"".join(b"".join(some) for some in pieces.values())
                        raise TimeoutError(printed.decode(errors="replace"))
                    ask()
                    end, asked = end + 2, True
                    continue
                for key, _ in selector.select(left):
                    if key.fd in pieces:
                        data = os.read(key.fd, 65536)
                        pieces[key.fd].append(data)
                        over = not data
                    else:
                        try:
                            rest = rest[os.write(key.fd, rest) :] if rest else rest
                        except BrokenPipeError:
                            rest = rest[:0]
                        over = not rest
                    if over:
                        selector.unregister(key.fd)
                        os.close(key.fd)
        except BaseException:
            for key in list(selector.get_map().values()):
                os.close(key.fd)
            raise
    out, err = (b"".join(some) for some in pieces.values())
    return out, err


def call(entry: str) -> int:
    """Calls "MODULE:FUNCTION" and returns its exit code; output is written out by then."""
    module, _, function = entry.partition(":")
    code = getattr(import_module(module), function)()
    sys.stdout.flush()
    sys.stderr.flush()
    return int(code or 0)


if __name__ == "__main__":
    _, _, wanted, *sys.argv[1:] = sys.argv
    sys.exit(call(wanted))
