"""The process that runs a build's steps one after the other, each in namespaces of its own.

It is process 1 of a sandbox that nothing is ever run in. For each step it unshares all but the user namespace and
starts the step's own process 1, which is the launcher (child_orders.py) and mounts its /proc; then it mounts the step's
tree, changes its root and the launcher's to that, has the launcher start the command, and goes back to where it was. So
a step costs no copy of a process of Python, and what it runs can neither see nor reach this one, which lies outside of
its namespaces. While a step runs the namespaces of the next are made.
"""

from __future__ import annotations

import fcntl
import os

from envbuild.errors import EnvbuildError, fields
from envbuild.linux import syscalls
from envbuild.linux.sockets import AF_UNIX, SHUT_WR, SOCK_SEQPACKET, SOCK_STREAM, socket, socketpair
from envbuild.sandbox import capabilities, mounts
from envbuild.sandbox.child import CATCHABLE, Confinement
from envbuild.sandbox.child_orders import MORE, READY, first_orders, orders_for
from envbuild.sandbox.idmapped_mounts import arrange_sources, open_sources
from envbuild.sandbox.init import begin, enter_tree, failed, prepare, trace
from envbuild.sandbox.launcher import ORDERS, REPORTS
from envbuild.sandbox.protocol import RUN, Bug, Failed, StepStarted
from envbuild.sandbox.seccomp import filter_program
from envbuild.sandbox.spec import NotArrived, SandboxFailure
from envbuild.sandbox.step_tracer import trace_step
from envbuild.sandbox.user_lookup import Identity
from envbuild.sandbox.wire import receive, receive_with_descriptors, send, send_descriptors
from envbuild.trace.calls import NUMBERS

_OF_A_STEP = (
    syscalls.CLONE_NEWNS
    | syscalls.CLONE_NEWPID
    | syscalls.CLONE_NEWIPC
    | syscalls.CLONE_NEWUTS
    | syscalls.CLONE_NEWCGROUP
    | syscalls.CLONE_NEWNET
)
_FIRST_FREE = 10
"""Above the descriptors that a step's process 1 has."""


@fields
class NoProcForSteps(SandboxFailure):
    """The first process of a step, which waits for it, has no /proc."""

    def text(self) -> tuple[str, str]:
        return "a step's first process can't mount its /proc", ""


def run_step_server(hand: int, confinement: Confinement, *, shifted: bool) -> None:
    """Do all that the process does; never returns.

    On the socket `hand` come a byte when the id map is written and then the socket on which steps are asked for. Where
    ids are `shifted`, the sources of a request come with it.
    """
    link: socket | None = None
    failure: BaseException | None = None
    try:
        orders = begin(hand, shifted)
        server: _StepServer | None = None
        try:
            server = _StepServer(confinement, shifted)
            server.prepare()
        except Exception as error:
            failure = error  # told when there is somebody to tell
        _, descriptors = receive_with_descriptors(orders, 1)
        if not descriptors:
            os._exit(1)
        orders.close()
        link = socket(fileno=descriptors[0])
        if failure is not None or server is None:
            raise failure or AssertionError("no server")
        while True:
            server.run_one(link)
            server.prepare()
    except EOFError:
        pass  # nobody wants more
    except (EnvbuildError, OSError) as error:
        _report(link, failed(error))
    except BaseException as error:
        _report(link, Bug(trace(error)))
    finally:
        os._exit(0)


def _report(link: socket | None, problem: Failed | Bug) -> None:
    if link is not None:
        send(link, problem)


class _StepServer:
    """Namespaces to come back to, and those of the next step."""

    def __init__(self, confinement: Confinement, shifted: bool) -> None:
        syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
        self._confinement = confinement.replace(launcher=_above(confinement.launcher))
        self._shifted = shifted
        self._home = _open("/proc/self/ns/mnt")
        self._processes = _open("/proc/self/ns/pid")
        self._nothing = _open(os.devnull)
        self._last_capability = capabilities.last_of_kernel()
        self._held: tuple[mounts.Detached, ...] = ()
        self._next: _Waiting | None = None
        self._pid = 0
        self._program_of_traced = b""
        self._proc = -1

    def prepare(self) -> None:
        """Make the namespaces of the next step, and what all steps have in them."""
        # A process can't have its children in a third process namespace before it has taken back the second.
        syscalls.setns(self._processes, syscalls.CLONE_NEWPID)
        syscalls.unshare(_OF_A_STEP)
        self._held = prepare(network=False, mount_proc=self._start)

    def _start(self, proc: str) -> None:
        """Starts the process 1 of the next step, which mounts its /proc: who does that decides whose it is."""
        reading, writing = (_above(end) for end in os.pipe2(os.O_CLOEXEC))
        orders, theirs = socketpair(AF_UNIX, SOCK_STREAM)
        result, reports = socketpair(AF_UNIX, SOCK_SEQPACKET)
        with theirs, reports:
            os.write(writing, first_orders(proc))  # less than any pipe takes before somebody reads (pipe(7))
            os.close(writing)
            wiring = [
                *((self._nothing, target) for target in range(3)),
                (_above(os.dup(reports.fileno())), REPORTS),
                (reading, ORDERS),
                (_above(os.dup(theirs.fileno())), MORE),
            ]
            pid = os.posix_spawn(
                f"/proc/self/fd/{self._confinement.launcher}",
                ("envbuild: init", ""),
                {},
                file_actions=[(os.POSIX_SPAWN_DUP2, source, target) for source, target in wiring],
                setsigmask=(),
                setsigdef=CATCHABLE,
            )
            for descriptor, _ in wiring[3:]:
                os.close(descriptor)
        if result.recv(16) != READY:
            raise NoProcForSteps
        self._next = _Waiting(pid, orders, result)

    def run_one(self, link: socket) -> None:
        """Take one request and run it. Raises EOFError when there is none, SandboxFailure and OSError."""
        received = receive(link, RUN)
        if received is None:
            raise EOFError("nobody asks for more steps")
        request, descriptors = received[0].request, received[1]
        if not descriptors:
            raise NotArrived("what the step was to have")
        output, *rest = descriptors
        sources = arrange_sources(request, tuple(rest)) if self._shifted else open_sources(request)
        if self._pid:
            # Gone with it are its mounts, which the new ones stand on.
            os.waitpid(self._pid, 0)
            self._pid = 0
        held, self._held = self._held, ()
        waiting, self._next = self._next, None
        assert waiting is not None
        self._pid = waiting.pid
        with waiting.orders, waiting.result:
            identity, made = enter_tree(request, sources, held)
            try:
                if identity.uid or identity.gid:
                    _give(output, identity)
                listener = syscalls.listener_flags() if request.traced else 0
                orders = orders_for(
                    request,
                    identity,
                    program=self._traced_program() if listener else self._confinement.program,
                    single=self._confinement.single,
                    last_capability=self._last_capability,
                    listener=listener,
                )
                send_descriptors(waiting.orders, (output,))
                waiting.orders.sendall(orders.content)
                waiting.orders.shutdown(SHUT_WR)
            finally:
                syscalls.setns(self._home, syscalls.CLONE_NEWNS)
                os.close(output)
            send(link, StepStarted(made, orders.chdir), (waiting.result.fileno(),))
            if request.traced:
                trace_step(link, waiting.orders, self._own_processes())

    def _traced_program(self) -> bytes:
        if not self._program_of_traced:
            self._program_of_traced = filter_program(
                pretend_ownership=self._confinement.single, notified=NUMBERS[os.uname().machine].values()
            )
        return self._program_of_traced

    def _own_processes(self) -> int:
        """Return a /proc in which the processes of all steps have the numbers that they have for this process."""
        if self._proc < 0:
            self._proc = _above(mounts.open_proc())
        return self._proc


class _Waiting:
    """The process 1 of a step that is not known yet: where it gets its orders, and where it says how its command
    ended."""

    def __init__(self, pid: int, orders: socket, result: socket) -> None:
        self.pid = pid
        self.orders = orders
        self.result = result


def _open(path: str) -> int:
    return _above(os.open(path, os.O_RDONLY | os.O_CLOEXEC))


def _above(descriptor: int) -> int:
    """Return the same file under a number that no standard descriptor of a step's process 1 has."""
    if descriptor >= _FIRST_FREE:
        return descriptor
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE)
    os.close(descriptor)
    return moved


def _give(output: int, identity: Identity) -> None:
    """Make the command's user the owner of the pipe that takes its output: else it could not open /dev/stdout."""
    try:
        os.fchown(output, identity.uid, identity.gid)
    except OSError:
        pass  # a single id: it stays whose it is
