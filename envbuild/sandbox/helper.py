"""The helper process: forked once from the main process while that has a single thread, it starts the sandboxes.

Forking a small process without threads is safe and quick, whatever the main process has grown to. For each run
the main process hands over three standard descriptors and one end of a socket, on which process 1 of the sandbox
answers. When the last holder of that end is gone, so is every process of the sandbox.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import struct
import threading
import time
from collections.abc import Callable
from socket import AF_UNIX, SOCK_SEQPACKET, SOCK_STREAM, socket, socketpair
from types import TracebackType
from typing import Self

from envbuild.sandbox import syscalls
from envbuild.sandbox.failure import SandboxFailure
from envbuild.sandbox.ids import IdMap
from envbuild.sandbox.init import run_init
from envbuild.sandbox.request import Outcome, Request
from envbuild.sandbox.wire import receive, receive_with_descriptors, send, send_request

_ORDER = struct.Struct("=cIid")
"""An order: what, number of the run, an argument (flags, or a signal), time limit in seconds (0 for none)."""
_START, _KILL, _KILL_ALL = b"s", b"k", b"a"
_NETWORK = 1
_NAMESPACES = (
    syscalls.CLONE_NEWUSER
    | syscalls.CLONE_NEWNS
    | syscalls.CLONE_NEWPID
    | syscalls.CLONE_NEWIPC
    | syscalls.CLONE_NEWUTS
    | syscalls.CLONE_NEWCGROUP
)


class HelperBug(RuntimeError):
    """Something in a sandbox's own code went wrong; the text is its traceback."""


class Helper:
    """The main process's side."""

    def __init__(self, control: socket, pid: int) -> None:
        self._control = control
        self._pid = pid
        self._sending = threading.Lock()
        self._next = 0

    @classmethod
    def start(cls, ids: IdMap) -> Helper:
        """Forks the helper. The process must have one thread and be in its user namespace already."""
        ours, theirs = socketpair(AF_UNIX, SOCK_SEQPACKET)
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            try:
                _serve(theirs, ids, parent)
            finally:
                os._exit(0)
        theirs.close()
        return cls(ours, pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the helper and every sandbox that still runs, and waits until they are gone."""
        if self._pid:
            self._control.close()
            os.waitpid(self._pid, 0)
            self._pid = 0

    def run(
        self,
        request: Request,
        *,
        stdin: int,
        output: int,
        errors: int | None = None,
        terminal: Callable[[int], None] | None = None,
        started: Callable[[int], None] | None = None,
    ) -> Outcome:
        """Runs one command and returns when it and all that it started is gone. Several threads may call it.

        `output` gets what it prints, and its errors too unless `errors` is given. `terminal` is called with the
        master side of the command's terminal, `started` with the number of the run for `signal`. Raises
        SandboxFailure where the command could not be started.
        """
        began = time.monotonic()
        ours, theirs = socketpair(AF_UNIX, SOCK_STREAM)
        with ours:
            with theirs, self._sending:
                self._next += 1
                number = self._next
                flags = _NETWORK if request.network else 0
                order = _ORDER.pack(_START, number, flags, request.timeout or 0.0)
                descriptors = (stdin, output, output if errors is None else errors, theirs.fileno())
                self._send(order, descriptors)
            try:
                send_request(ours, request)
            except OSError:
                pass  # it ended before it was asked; why comes as an answer
            if started is not None:
                started(number)
            return self._answers(ours, request, terminal, began)

    def signal(self, run: int, number: int) -> None:
        """Sends a signal to the command of a run."""
        with self._sending:
            self._send(_ORDER.pack(_KILL, run, number, 0.0), ())

    def cancel_all(self) -> None:
        """Ends all runs at once; each returns as if it had been killed."""
        with self._sending:
            self._send(_ORDER.pack(_KILL_ALL, 0, 0, 0.0), ())

    def _send(self, order: bytes, descriptors: tuple[int, ...]) -> None:
        import array
        from socket import SCM_RIGHTS, SOL_SOCKET

        rights = [(SOL_SOCKET, SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        try:
            self._control.sendmsg([order], rights)
        except OSError as error:
            raise SandboxFailure("the process that starts sandboxes is gone", "run the same command again") from error

    def _answers(self, link: socket, request: Request, terminal: Callable[[int], None] | None, began: float) -> Outcome:
        outcome: Outcome | None = None
        timed_out = False
        failure: SandboxFailure | None = None
        while (message := receive(link)) is not None:
            kind, payload, descriptors = message
            if kind == "terminal" and terminal is not None:
                terminal(descriptors[0])
            elif kind == "ended":
                status, number, made = payload
                assert isinstance(status, int)
                assert isinstance(number, int)
                assert isinstance(made, tuple)
                outcome = Outcome(status, number, False, 0.0, made)
            elif kind == "failed":
                failure = SandboxFailure(str(payload[0]), str(payload[1]))
            elif kind == "bug":
                raise HelperBug(str(payload[0]))
            elif kind == "timed out":
                timed_out = True
        seconds = time.monotonic() - began
        if failure is not None:
            raise failure
        if outcome is None or timed_out:
            # Ended from outside, with no word of its own.
            outcome = Outcome(128 + signal.SIGKILL, signal.SIGKILL, timed_out)
        return outcome.replace(seconds=seconds)


class _Running:
    """A sandbox, as the helper knows it."""

    def __init__(self, number: int, pid: int, descriptor: int, link: socket, deadline: float | None) -> None:
        self.number = number
        self.pid = pid
        self.descriptor = descriptor
        self.link = link
        self.deadline = deadline

    def kill(self, number: int = signal.SIGKILL) -> None:
        try:
            signal.pidfd_send_signal(self.descriptor, number)
        except ProcessLookupError:
            pass


def _serve(control: socket, ids: IdMap, parent: int) -> None:
    """The helper's life: starts sandboxes, ends them in time, and goes when the main process does."""
    # Of its own session, so that a terminal's Ctrl-C reaches the main process alone, which then decides.
    os.setsid()
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    kept = control.detach()
    if kept != 3:
        os.dup2(kept, 3, inheritable=False)
    syscalls.close_range(4, on_exec=False)
    control = socket(fileno=3)
    gc.freeze()  # what is here is never collected: collecting would copy the pages that forks share
    running: dict[int, _Running] = {}
    poller = select.poll()
    poller.register(control, select.POLLIN)
    while True:
        for descriptor, _ in poller.poll(_wait(running)):
            if descriptor == control.fileno():
                order, descriptors = receive_with_descriptors(control, _ORDER.size)
                if not order:
                    _end(running)
                    return
                _obey(order, descriptors, running, poller, ids)
            else:
                one = running.pop(descriptor)
                poller.unregister(descriptor)
                os.waitpid(one.pid, 0)
                os.close(descriptor)
                one.link.close()
        _end_late(running)


def _obey(
    order: bytes, descriptors: tuple[int, ...], running: dict[int, _Running], poller: select.poll, ids: IdMap
) -> None:
    what, number, argument, limit = _ORDER.unpack(order)
    if what == _KILL_ALL:
        for one in running.values():
            one.kill()
    elif what == _KILL:
        for one in running.values():
            if one.number == number:
                one.kill(argument)
    else:
        deadline = time.monotonic() + limit if limit else None
        others = [held for one in running.values() for held in (one.descriptor, one.link.fileno())]
        started = _start(number, descriptors, bool(argument & _NETWORK), deadline, ids, others)
        if started is not None:
            running[started.descriptor] = started
            poller.register(started.descriptor, select.POLLIN)


def _start(
    number: int, descriptors: tuple[int, ...], network: bool, deadline: float | None, ids: IdMap, others: list[int]
) -> _Running | None:
    stdin, output, errors, answer = descriptors
    link = socket(fileno=answer)
    reading, writing = os.pipe2(os.O_CLOEXEC)
    flags = _NAMESPACES | signal.SIGCHLD | (0 if network else syscalls.CLONE_NEWNET)
    pid = 0
    try:
        pid = syscalls.clone(flags)
        if pid == 0:
            # What ends another run is that all ends of its socket are closed: this sandbox must not hold them.
            for descriptor in (writing, *others):
                os.close(descriptor)
            run_init(link, stdin, output, errors, reading, single=ids.kind == "single")
        os.close(reading)
        _write_maps(pid)
        os.write(writing, b"g")
    except OSError as error:
        send(link, "failed", (f"a sandbox can't be made: {error.strerror}", "try: envbuild doctor"))
        link.close()
        if pid:
            signal.pidfd_send_signal(os.pidfd_open(pid), signal.SIGKILL)
            os.waitpid(pid, 0)
        return None
    finally:
        os.close(writing)
        for descriptor in (stdin, output, errors):
            os.close(descriptor)
    return _Running(number, pid, os.pidfd_open(pid), link, deadline)


def _write_maps(pid: int) -> None:
    """The sandbox has the ids that we have, so that owners look the same inside and outside."""
    for kind in ("uid", "gid"):
        # Row by row: one row of a map may not span several of the namespace above (user_namespaces(7)).
        with open(f"/proc/self/{kind}_map", encoding="ascii") as file:
            rows = [line.split() for line in file]
        text = "".join(f"{first} {first} {count}\n" for first, _, count in rows)
        descriptor = os.open(f"/proc/{pid}/{kind}_map", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)


def _wait(running: dict[int, _Running]) -> float | None:
    """Milliseconds until the next deadline."""
    deadlines = [one.deadline for one in running.values() if one.deadline is not None]
    return max(0.0, min(deadlines) - time.monotonic()) * 1000 + 1 if deadlines else None


def _end_late(running: dict[int, _Running]) -> None:
    now = time.monotonic()
    for one in running.values():
        if one.deadline is not None and one.deadline <= now:
            try:
                send(one.link, "timed out", ())
            except OSError:
                pass
            one.kill()
            one.deadline = None


def _end(running: dict[int, _Running]) -> None:
    for one in running.values():
        one.kill()
    for one in running.values():
        os.waitpid(one.pid, 0)
