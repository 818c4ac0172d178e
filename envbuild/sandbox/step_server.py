"""The process that runs a build's steps one after the other, each in namespaces of its own.

It is process 1 of a sandbox that nothing is ever run in. For each step it unshares all but the user namespace, mounts
the step's tree, changes into it and starts the step's own process 1 there, which is the launcher (child_orders.py), and
goes back to where it was. So a step costs no copy of a process of Python, and what it runs can neither see nor reach
this one, which lies outside of its namespaces. While a step runs the namespaces of the next are made.
"""

from __future__ import annotations

import fcntl
import os
import signal
from socket import socket

from envbuild.errors import EnvbuildError
from envbuild.linux import syscalls
from envbuild.sandbox import capabilities, mounts
from envbuild.sandbox.child import FORWARDED, Confinement, candidates
from envbuild.sandbox.child_orders import FIRST_WRITE, fits, orders_for
from envbuild.sandbox.idmapped_mounts import arrange_sources, open_sources
from envbuild.sandbox.init import become_root, begin, enter_tree, failed, prepare, trace
from envbuild.sandbox.launcher import ORDERS, REPORTS
from envbuild.sandbox.protocol import RUN, Bug, Failed, StepStarted
from envbuild.sandbox.spec import Request, SandboxFailure
from envbuild.sandbox.user_lookup import Identity
from envbuild.sandbox.wire import receive, receive_with_descriptors, send

_OF_A_STEP = (
    syscalls.CLONE_NEWNS
    | syscalls.CLONE_NEWPID
    | syscalls.CLONE_NEWIPC
    | syscalls.CLONE_NEWUTS
    | syscalls.CLONE_NEWCGROUP
    | syscalls.CLONE_NEWNET
)
_OWN = 2
"""The descriptors that come with every request: where its output goes, and where its process 1 says how it ended."""
_FIRST_FREE = 10
"""Above the descriptors that a step's process 1 has."""


def run_step_server(hand: int, confinement: Confinement, *, shifted: bool) -> None:
    """Do all that the process does; never returns.

    On the socket `hand` come a byte when the id map is written and then the socket on which steps are asked for. Where
    ids are `shifted`, the sources of a request come with it.
    """
    link: socket | None = None
    failure: BaseException | None = None
    try:
        orders = begin(hand)
        if shifted:
            become_root()
        # The host's environment is nobody's business. Not before the id map is written: the files in /proc of a process
        # that can't be dumped belong to the machine's root.
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
        server: _StepServer | None = None
        try:
            server = _StepServer(confinement, shifted)
            server.prepare()
        except (OSError, EnvbuildError) as error:
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
        self._pid = 0

    def prepare(self) -> None:
        """Make the namespaces of the next step, and what all steps have in them."""
        # A process can't have its children in a third process namespace before it has taken back the second.
        syscalls.setns(self._processes, syscalls.CLONE_NEWPID)
        syscalls.unshare(_OF_A_STEP)
        self._held = prepare(network=False)

    def run_one(self, link: socket) -> None:
        """Take one request and start it. Raises EOFError when there is none, SandboxFailure and OSError."""
        received = receive(link, RUN)
        if received is None:
            raise EOFError("nobody asks for more steps")
        request, descriptors = received[0].request, received[1]
        if len(descriptors) < _OWN:
            raise SandboxFailure("what the step was to have did not arrive", "run the same command again")
        output, result = (_above(descriptor) for descriptor in descriptors[:_OWN])
        sources = arrange_sources(request, descriptors[_OWN:]) if self._shifted else open_sources(request)
        if self._pid:
            # Gone with it are its mounts, which the new ones stand on.
            os.waitpid(self._pid, 0)
            self._pid = 0
        held, self._held = self._held, ()
        identity, made = enter_tree(request, sources, held)
        try:
            if identity.uid or identity.gid:
                _give(output, identity)
            self._start(request, identity, output, result, made, link)
        finally:
            syscalls.setns(self._home, syscalls.CLONE_NEWNS)
            os.close(output)
            os.close(result)

    def _start(
        self, request: Request, identity: Identity, output: int, result: int, made: tuple[str, ...], link: socket
    ) -> None:
        confinement = self._confinement
        if not fits(request.directory, identity.groups, confinement.program):
            raise SandboxFailure(f"the user '{request.user}' is in too many groups for a step")
        orders = orders_for(
            identity,
            request.directory,
            program=confinement.program,
            single=confinement.single,
            last_capability=self._last_capability,
        )
        reading, writing = (_above(end) for end in os.pipe2(os.O_CLOEXEC))
        wiring = ((self._nothing, 0), (output, 1), (output, 2), (result, REPORTS), (reading, ORDERS))
        try:
            os.write(writing, orders.content[:FIRST_WRITE])
            self._pid = os.posix_spawn(
                f"/proc/self/fd/{confinement.launcher}",
                (*candidates(request), "", *request.argv),
                dict(request.environment),
                file_actions=[(os.POSIX_SPAWN_DUP2, source, target) for source, target in wiring],
                setsigmask=(),
                setsigdef=(signal.SIGPIPE, signal.SIGXFSZ, *FORWARDED),
            )
            rest = memoryview(orders.content)[FIRST_WRITE:]
            while rest:
                rest = rest[os.write(writing, rest) :]
        finally:
            os.close(reading)
            os.close(writing)
        send(link, StepStarted(made, orders.chdir))


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
