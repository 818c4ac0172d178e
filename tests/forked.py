"""Commands of envbuild without the start of a Python for each: forked from a process that has loaded envbuild.

A test's command costs a fork this way in place of 40 ms of imports, and a build does without another 150 for the
grammar's tables. For the command it looks like a start: its words, folder, variables, standard streams, umask and
command line in /proc are its own, and no other descriptor is open. What the interpreter or the C library reads at its
start can't be given to a fork, nor can limits of the process: such commands, those of the tests of faults and of
start-up, and all with $ENVBUILD_TESTS_REAL_START set, are started as a user starts them.

    server = ForkServer()
    done = server.run(["ps", "--all"], folder, variables)
"""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import hashlib
import json
import os
import pkgutil
import selectors
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import NoReturn

from tests import huge_pages

READ_AT_START = ("PYTHON", "LANG", "LC_", "LD_", "TZ", "MALLOC", "GLIBC", "FAKETIME")
"""How the names of variables begin that count before the first line of envbuild runs."""
ENVBUILD = "envbuild.__main__:main"
TRACE = signal.SIGRTMAX - 1
"""Has a command print where each of its threads is: for one that hangs."""
ROOM = 64 << 10
"""Bytes of the server's command line that a command may have for its own."""


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
        words = [sys.executable, "-m", "tests.forked", str(theirs.fileno()), " " * ROOM]
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
                socket.send_fds(self._control, [b"run"], [asked, *theirs, their_state.fileno()])
        finally:
            their_state.close()
            for descriptor in (asked, *theirs):
                os.close(descriptor)
        with state, _Command(int(state.recv(100))) as command:
            try:
                outputs = _converse(ours, stdin, timeout, lambda: command.send(TRACE))
                state.settimeout(timeout)
                answer = state.recv(100)
            except TimeoutError as late:
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


# The server


def serve(control: int) -> None:
    """Forks a command for each message, until nobody is left who could send one."""
    _load()
    wake_read, wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    previous = signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    states: dict[int, socket.socket] = {}
    with socket.socket(fileno=control) as link, selectors.DefaultSelector() as selector:
        link.set_inheritable(False)
        selector.register(link, selectors.EVENT_READ)
        selector.register(wake_read, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is not link:
                    os.read(wake_read, 4096)
                    _report(states)
                    continue
                message, descriptors, _, _ = socket.recv_fds(link, 100, 8)
                if not message:
                    return
                pid = os.fork()
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, previous)
                    _become(*descriptors)
                state = socket.socket(fileno=descriptors.pop())
                for descriptor in descriptors:
                    os.close(descriptor)
                states[pid] = state
                state.send(b"%d" % pid)
            _report(states)


def _report(states: dict[int, socket.socket]) -> None:
    """Tells how those ended that did."""
    while states:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        state = states.pop(pid)
        try:
            state.send(b"%d" % status)
        except OSError:
            pass  # it was killed for taking too long
        state.close()


def _load() -> None:
    """Loads all of envbuild, with its regular expressions and the tables of its grammar, but not the large libraries
    that few commands need."""
    import envbuild
    from envbuild import module_pack

    for module in pkgutil.walk_packages(envbuild.__path__, "envbuild."):
        if not module.name.startswith(("envbuild.packages.inside", "envbuild.packages.sbom")):
            import_module(module.name)
    # There is nothing to take from a command's pack, and none that would have all modules that are loaded here.
    module_pack.use = lambda command, version: None
    module_pack.is_incomplete = lambda command: False
    _use_once()
    gc.collect()
    gc.freeze()
    huge_pages.collapse()


def _use_once() -> None:
    """What libraries do at their first use, and the regular expressions: a build would take 4 ms for each of these."""
    from envbuild.capture.left_out import HOMES, RECORD, RULES, LeftOut
    from envbuild.language import lalr
    from envbuild.text.pattern import Pattern

    for thing in gc.get_objects():
        if isinstance(thing, Pattern):
            thing.compiled()
    for state in range(len(lalr.ACTIONS)):
        lalr._matchers(state)
    LeftOut((*RULES, HOMES, RECORD))
    hashlib.sha256(bytes(1 << 16)).hexdigest()
    sqlite3.connect(":memory:").close()


def _become(asked: int, stdin: int, stdout: int, stderr: int, state: int) -> NoReturn:
    """Turns a fork into the process of a command, and runs that to its end."""
    code = 70
    try:
        with open(asked, "rb") as file:
            file.seek(0)
            entry, words, folder, variables, umask = json.loads(file.read().decode("utf-8", "surrogateescape"))
        for number, descriptor in enumerate((stdin, stdout, stderr)):
            os.dup2(descriptor, number)
        os.closerange(3, 1 << 16)
        os.umask(umask)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(variables)
        _show_as(["python", "-m", "envbuild", *words])
        faulthandler.register(TRACE)
        sys.argv = ["envbuild", *words]
        sys.path[0] = os.getcwd()
        _open_streams()
        code = call(entry)
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


def call(entry: str) -> int:
    """Calls "MODULE:FUNCTION" and returns its exit code; output is written out by then."""
    module, _, function = entry.partition(":")
    code = getattr(import_module(module), function)()
    sys.stdout.flush()
    sys.stderr.flush()
    return int(code or 0)


def _open_streams() -> None:
    """Opens the standard streams anew as Python does at its start: the old ones may know of another file."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        old = getattr(sys, name)
        unbuffered = bool(os.environ.get("PYTHONUNBUFFERED")) and number > 0
        stream = open(  # noqa: SIM115 - to the end
            number,
            "w" if number else "r",
            encoding=old.encoding,
            errors=old.errors,
            buffering=1 if number == 2 or os.isatty(number) else -1,
            closefd=False,
        )
        if unbuffered:
            stream.reconfigure(write_through=True)
        setattr(sys, name, stream)


def _show_as(words: Iterable[str]) -> None:
    """Makes these the command line that /proc shows, in the room of the server's own."""
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    start, end = int(fields[45]), int(fields[46])  # arg_start and arg_end of proc(5), counted from the state
    text = b"".join(os.fsencode(word) + b"\0" for word in words)[: end - start - 1]
    ctypes.memset(start, 0, end - start)
    ctypes.memmove(start, text, len(text))


if __name__ == "__main__":
    if sys.argv[1] == "call":
        _, _, wanted, *sys.argv[1:] = sys.argv
        sys.exit(call(wanted))
    serve(int(sys.argv[1]))
