"""The helper process's own side: takes orders, hands them to sandboxes, ends those that are late, and reaps.

A sandbox is made in two parts: first all that is the same for every command (its namespaces, /proc, /sys, /dev),
then, when a command is known, the rest. The helper makes the first part of the next sandbox while a command runs,
so that a build's next step finds it waiting.
"""

from __future__ import annotations

import fcntl
import gc
import os
import select
import time

from envbuild.errors import EnvbuildError
from envbuild.linux import signals as signal
from envbuild.linux import syscalls
from envbuild.linux.sockets import AF_UNIX, SOCK_STREAM, socket, socketpair
from envbuild.record import assert_never
from envbuild.sandbox import seccomp
from envbuild.sandbox.child import Confinement
from envbuild.sandbox.codec import prepare
from envbuild.sandbox.init import run_init
from envbuild.sandbox.launcher import open_launcher
from envbuild.sandbox.protocol import (
    EXECUTE,
    ORDERS,
    RUN,
    Failed,
    KillAll,
    Namespace,
    Process,
    ServeSteps,
    Signal,
    Start,
    TimedOut,
)
from envbuild.sandbox.user_namespace import SHIFTED, SINGLE, IdMap, explain, why_refused
from envbuild.sandbox.wire import close_all, receive, send, send_descriptors

CONTROL, _LAUNCHER = 3, 4
"""The descriptor that orders come from, and in a sandbox that of its launcher."""
_NAMESPACES = (
    syscalls.CLONE_NEWUSER
    | syscalls.CLONE_NEWNS
    | syscalls.CLONE_NEWPID
    | syscalls.CLONE_NEWIPC
    | syscalls.CLONE_NEWUTS
    | syscalls.CLONE_NEWCGROUP
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.sandbox.protocol import Order


class Waiting:
    """A sandbox without a command: process 1 waits at the other end of `hand` for what to run."""

    def __init__(self, pid: int, hand: socket) -> None:
        self.pid = pid
        self.descriptor = os.pidfd_open(pid)
        self.hand = hand

    def open_namespace(self) -> int:
        """Return a descriptor of its user namespace."""
        return os.open(f"/proc/{self.pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)

    def end(self) -> None:
        signal.pidfd_send_signal(self.descriptor, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.descriptor)
        self.hand.close()


class _Running:
    """A sandbox with its command, as the helper knows it."""

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


def serve(control: socket, ids: IdMap, parent: int, *, ahead: bool, steps: bool) -> None:
    """Be the helper until the main process ends; with `ahead` there is always a sandbox in waiting, with `steps` a
    first step server."""
    # Of its own session, so that a terminal's Ctrl-C reaches the main process alone, which then decides.
    os.setsid()
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    kept = control.detach()
    if kept != CONTROL:
        os.dup2(kept, CONTROL, inheritable=False)
    syscalls.close_range(CONTROL + 1, on_exec=False)
    prepare(RUN)
    prepare(EXECUTE)
    gc.freeze()  # what is here is never collected: collecting would copy the pages that forks share
    _Server(socket(fileno=CONTROL), ids, ahead=ahead, steps=steps).run()


class _Server:
    def __init__(self, control: socket, ids: IdMap, *, ahead: bool, steps: bool) -> None:
        self._control = control
        self._ids = ids
        self._ahead = ahead and not steps
        self._first_is_for_steps = steps
        self._confinement: Confinement | None = None
        self._running: dict[int, _Running] = {}
        self._waiting: Waiting | None = None
        self._problem: OSError | EnvbuildError | None = None
        self._poller = select.poll()

    def run(self) -> None:
        self._poller.register(CONTROL, select.POLLIN)
        self._make_waiting(steps=self._first_is_for_steps)
        if self._ids.kind == SHIFTED:
            self._show_namespace()
        while True:
            for descriptor, _ in self._poller.poll(self._milliseconds()):
                if descriptor == CONTROL:
                    received = receive(self._control, ORDERS)
                    if received is None:
                        self._end()
                        return
                    self._obey(*received)
                else:
                    self._reap(self._running.pop(descriptor))
            self._end_late()

    def _obey(self, order: Order, descriptors: tuple[int, ...]) -> None:
        match order:
            case Start():
                self._start(order, descriptors)
                if self._ahead:
                    self._make_waiting()
            case ServeSteps(number):
                self._start_step_server(number, descriptors[0])
            case Signal(number, sent):
                for sandbox in self._running.values():
                    if sandbox.number == number:
                        sandbox.kill(sent)
            case KillAll():
                for sandbox in self._running.values():
                    sandbox.kill()
            case _:
                assert_never(order)

    def _start(self, order: Start, descriptors: tuple[int, ...]) -> None:
        deadline = time.monotonic() + order.timeout if order.timeout else None
        link = socket(fileno=descriptors[-1])
        try:
            waiting = None
            if not (order.network or self._first_is_for_steps):
                waiting, self._waiting = self._waiting, None
            if waiting is None:
                waiting = self._make(order.network)
            if order.report_pid:
                send(link, Process(waiting.pid))  # before process 1 has the socket, too
            send_descriptors(waiting.hand, descriptors)
            waiting.hand.close()
        except (OSError, EnvbuildError) as error:
            send(link, _failed(error))
            link.close()
            return
        finally:
            close_all(descriptors[:-1])
        self._running[waiting.descriptor] = _Running(order.number, waiting.pid, waiting.descriptor, link, deadline)
        self._poller.register(waiting.descriptor, select.POLLIN)

    def _start_step_server(self, number: int, descriptor: int) -> None:
        """Give a step server the socket on which steps are asked for."""
        link = socket(fileno=descriptor)
        try:
            waiting, self._waiting = self._waiting, None
            if waiting is None:
                waiting = self._make(network=False, steps=True)
            send_descriptors(waiting.hand, (descriptor,))
            waiting.hand.close()
        except (OSError, EnvbuildError) as error:
            send(link, _failed(error))
            link.close()
            return
        # The socket stays open here until the server is reaped. A process 1 that is killed closes its own end first,
        # and only then ends the processes below it.
        self._running[waiting.descriptor] = _Running(number, waiting.pid, waiting.descriptor, link, None)
        self._poller.register(waiting.descriptor, select.POLLIN)

    def _make_waiting(self, *, steps: bool = False) -> None:
        if self._waiting is None:
            try:
                self._waiting = self._make(network=False, steps=steps)
            except (OSError, EnvbuildError) as error:
                self._problem = error  # told when a command needs it

    def _show_namespace(self) -> None:
        """Give the main process a user namespace with the sandboxes' map of ids, for what it mounts in them."""
        if self._waiting is None:
            assert self._problem is not None
            reason = self._problem if isinstance(self._problem, EnvbuildError) else explain(self._problem)
            send(self._control, Failed(reason.message, reason.hint))
            return
        namespace = self._waiting.open_namespace()
        send(self._control, Namespace(), (namespace,))
        os.close(namespace)

    def _make(self, network: bool, *, steps: bool = False) -> Waiting:
        if self._confinement is None:
            self._confinement = confinement_for(self._ids)
        return make_sandbox(self._confinement, self._ids, network=network, steps=steps)

    def _reap(self, sandbox: _Running) -> None:
        self._poller.unregister(sandbox.descriptor)
        os.waitpid(sandbox.pid, 0)
        os.close(sandbox.descriptor)
        sandbox.link.close()

    def _milliseconds(self) -> float | None:
        """Return the time until the next deadline, None if there is none."""
        deadlines = [sandbox.deadline for sandbox in self._running.values() if sandbox.deadline is not None]
        return max(0.0, min(deadlines) - time.monotonic()) * 1000 + 1 if deadlines else None

    def _end_late(self) -> None:
        now = time.monotonic()
        for sandbox in self._running.values():
            if sandbox.deadline is not None and sandbox.deadline <= now:
                try:
                    send(sandbox.link, TimedOut())
                except OSError:
                    pass
                sandbox.kill()
                sandbox.deadline = None

    def _end(self) -> None:
        for sandbox in self._running.values():
            sandbox.kill()
        for sandbox in self._running.values():
            os.waitpid(sandbox.pid, 0)
        if self._waiting is not None:
            self._waiting.end()


def confinement_for(ids: IdMap) -> Confinement:
    """Return what holds the commands of sandboxes with these ids. Raises NoLauncher."""
    single = ids.kind == SINGLE
    return Confinement(seccomp.filter_program(pretend_ownership=single), single, open_launcher())


def make_sandbox(confinement: Confinement, ids: IdMap, *, network: bool, steps: bool = False) -> Waiting:
    """Return a new sandbox without a command, with the caller's `network` or none; or a step server.

    The process has one thread. Raises OSError.
    """
    if steps:
        from envbuild.sandbox.step_server import run_step_server  # builds alone need it
    ours, theirs = socketpair(AF_UNIX, SOCK_STREAM)
    flags = _NAMESPACES | signal.SIGCHLD | (0 if network else syscalls.CLONE_NEWNET)
    try:
        with theirs:
            pid = syscalls.clone(flags)
            if pid == 0:
                try:
                    _keep_only(theirs.fileno(), confinement.launcher)
                    confinement = confinement.replace(launcher=_LAUNCHER)
                    if steps:
                        run_step_server(CONTROL, confinement, shifted=ids.kind == SHIFTED)
                    run_init(CONTROL, confinement, network=network, shifted=ids.kind == SHIFTED)
                finally:
                    os._exit(1)
    except OSError:
        ours.close()
        raise
    made = Waiting(pid, ours)
    try:
        _write_maps(pid, ids)
        ours.send(b"m")
    except OSError:
        made.end()
        raise
    return made


def _failed(error: OSError | EnvbuildError) -> Failed:
    if isinstance(error, EnvbuildError):
        return Failed(error.message, error.hint, error.exit_code)
    return Failed(f"a sandbox can't be made: {error.strerror}", why_refused(error))


def _keep_only(hand: int, launcher: int) -> None:
    """Close all but these two of a sandbox's first process: what ends another run is that all ends of its socket are
    closed."""
    # Out of the way first, as each may have the other's number.
    above = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _LAUNCHER + 1) for descriptor in (hand, launcher)]
    for source, target in zip(above, (CONTROL, _LAUNCHER), strict=True):
        os.dup2(source, target, inheritable=False)
    syscalls.close_range(_LAUNCHER + 1, on_exec=False)


def _write_maps(pid: int, ids: IdMap) -> None:
    for kind in ("uid", "gid"):
        descriptor = os.open(f"/proc/{pid}/{kind}_map", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, ids.rows(kind).encode())
        finally:
            os.close(descriptor)
