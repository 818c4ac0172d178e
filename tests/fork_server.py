"""The process that commands are forked from (forked.py).

A fork that a command left as it found it runs the next one, too (reused.py): touching the pages of a fork costs 10 to
30 ms, more than what most commands do.
"""

from __future__ import annotations

import ctypes
import gc
import hashlib
import json
import os
import pkgutil
import selectors
import signal
import socket
import sqlite3
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import NoReturn

from tests import huge_pages, reused
from tests.forked import REUSABLE, call

IDLE = b"idle"
"""A process says so when it can run the next command."""
LINK = 1000
"""The descriptor of such a process by which it gets them."""


def serve(control: int) -> None:
    """Has a command run for each message, until nobody is left who could send one."""
    _load()
    with socket.socket(fileno=control) as link:
        link.set_inheritable(False)
        _Server(link).run()


class _Server:
    """The processes that run commands, by number: how they are reached, who asked for their command, who is idle."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._links: dict[int, socket.socket] = {}
        self._states: dict[int, socket.socket] = {}
        self._idle: list[int] = []
        self._selector = selectors.DefaultSelector()

    def run(self) -> None:
        wake_read, wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._on_end = signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        self._selector.register(self._control, selectors.EVENT_READ)
        self._selector.register(wake_read, selectors.EVENT_READ)
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._control:
                    message, descriptors, _, _ = socket.recv_fds(self._control, 100, 8)
                    if not message:
                        return
                    self._begin(message, *descriptors)
                elif key.fileobj == wake_read:
                    os.read(wake_read, 4096)
                else:
                    self._hear(key.data)
            self._bury()

    def _begin(self, message: bytes, *descriptors: int) -> None:
        """Has a command run: the descriptors are those of its words, its streams, and of who asks."""
        pid = self._idle.pop() if message == REUSABLE and self._idle else 0
        if not pid or not _is_handed_over(self._links[pid], descriptors[:-1]):
            pid = self._fork(message, *descriptors[:-1])
        for descriptor in descriptors[:-1]:
            os.close(descriptor)
        self._states[pid] = socket.socket(fileno=descriptors[-1])
        self._states[pid].send(b"%d" % pid)

    def _fork(self, message: bytes, *descriptors: int) -> int:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, self._on_end)
            _become(message, *descriptors, theirs.fileno())
        theirs.close()
        self._selector.register(ours, selectors.EVENT_READ, pid)
        self._links[pid] = ours
        return pid

    def _hear(self, pid: int) -> None:
        """Takes what a process says of its command and of itself."""
        try:
            said = self._links[pid].recv(100)
        except OSError:
            said = b""
        if said == IDLE:
            self._idle.append(pid)
        elif said:
            self._report(pid, int(said))
        else:
            self._selector.unregister(self._links[pid])  # it ends

    def _report(self, pid: int, status: int) -> None:
        """Tells how a command ended, unless that was said before."""
        if pid in self._states:
            with self._states.pop(pid) as state:
                try:
                    state.send(b"%d" % status)
                except OSError:
                    pass  # it was killed for taking too long

    def _bury(self) -> None:
        """Looks which processes have ended."""
        while self._links:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            with self._links.pop(pid) as link:
                if link in self._selector.get_map():
                    self._selector.unregister(link)
            self._report(pid, status)
            if pid in self._idle:
                self._idle.remove(pid)


def _is_handed_over(link: socket.socket, descriptors: Sequence[int]) -> bool:
    """Gives a process that waits a command; False if it is gone."""
    try:
        socket.send_fds(link, [REUSABLE], descriptors)
    except OSError:
        return False
    return True


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


def _become(message: bytes, asked: int, stdin: int, stdout: int, stderr: int, link: int) -> NoReturn:
    """Turns a fork into the process of a command and runs that to its end, and then others if it can."""
    try:
        os.dup2(link, LINK, inheritable=False)
        beginning = None
        while True:
            for number, descriptor in enumerate((stdin, stdout, stderr)):
                os.dup2(descriptor, number)
            with open(asked, "rb") as file:
                file.seek(0)
                words = json.loads(file.read().decode("utf-8", "surrogateescape"))
            os.closerange(3, LINK)
            os.closerange(LINK + 1, 1 << 16)
            if beginning is None:
                beginning = reused.Beginning()
            code = _run(*words)
            if message != REUSABLE or not beginning.is_back():
                os._exit(code)
            _show_as(["envbuild: idle"])  # tests look for processes by words that they gave to a command
            _tell(b"%d" % (code << 8))  # as waitpid has it
            if not reused.outlives_its_children():
                os._exit(code)
            _tell(IDLE)
            asked, stdin, stdout, stderr = _next()
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(70)


def _run(entry: str, words: list[str], folder: str, variables: dict[str, str], umask: int) -> int:
    """Runs a command with what is its own, and returns its exit code. A process that it can't be left in ends."""
    os.umask(umask)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    _show_as(["python", "-m", "envbuild", *words])
    sys.argv = ["envbuild", *words]
    sys.path[0] = os.getcwd()
    _open_streams()
    try:
        return call(entry)
    except SystemExit as end:
        os._exit(int(end.code or 0))


def _tell(message: bytes) -> None:
    """Tells the server how a command ended, of which nobody reads anything more, or that the next one may come."""
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for number in range(3):
        os.dup2(nothing, number)
    os.close(nothing)
    os.write(LINK, message)


def _next() -> list[int]:
    """Waits for another command and returns the descriptors of its words and its streams."""
    with socket.socket(fileno=os.dup(LINK)) as link:
        message, descriptors, _, _ = socket.recv_fds(link, 100, 8)
    if not message:
        os._exit(0)
    return descriptors


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
    serve(int(sys.argv[1]))
