"""The process of a sandbox that becomes the command: forked by process 1 ahead of time, told later what to run.

It executes the launcher first (launcher.py), so that what executes the image's program is no program of the host's.
"""

from __future__ import annotations

import errno
import fcntl
import os

from envbuild.errors import fields
from envbuild.linux import signals as signal
from envbuild.linux import syscalls
from envbuild.linux.sockets import AF_UNIX, SOCK_STREAM, socket, socketpair
from envbuild.record import Record
from envbuild.sandbox import capabilities
from envbuild.sandbox.launcher import REPORTS
from envbuild.sandbox.protocol import EXECUTE, Execute
from envbuild.sandbox.spec import CANNOT_EXECUTE, NO_PROGRAM, ExecCommand, Request, SandboxFailure
from envbuild.sandbox.stdio import give_pipes, give_terminal
from envbuild.sandbox.user_lookup import Identity
from envbuild.sandbox.wire import receive, send

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_OF_LIBRARY = (32, 33)
CATCHABLE = tuple(n for n in range(1, signal.NSIG) if n not in (signal.SIGKILL, signal.SIGSTOP, *_OF_LIBRARY))
"""Signals that a program can catch or ignore; the C library keeps two for itself (nptl(7))."""
_FAULTS = (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSYS, signal.SIGTRAP, signal.SIGABRT)
_OWN = (signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
FORWARDED = tuple(number for number in CATCHABLE if number not in (*_FAULTS, *_OWN))
"""Signals that process 1 passes on to the command when something inside sends them to it (`kill 1`)."""


MAX_PROCESSES = 4096
"""As many processes and threads one user of a sandbox may have. They are counted for each user namespace by itself
(Linux 5.14); the machine's own root is not held to it."""


_OURS = b"\xff"
"""Begins what the process says before it is the launcher: no error has this number."""
_TIOCSCTTY = 0x540E  # as in the module termios, which takes a quarter of a millisecond to import
_FIRST_FREE = 10
"""Above the descriptors that the command and the launcher have."""


@fields
class CannotEnter(SandboxFailure):
    """The working directory of a command is missing or closed to it."""

    directory: str
    error: OSError

    def text(self) -> tuple[str, str]:
        return (
            f"the working directory {self.directory} can't be entered: {self.error.strerror}",
            "make it first, or set another with `workdir`",
        )


@fields
class NoProgramInTree(SandboxFailure):
    """The tree has no program of this name."""

    exit_code = NO_PROGRAM
    name: str

    def text(self) -> tuple[str, str]:
        return (
            f"there is no program '{self.name}' in the tree",
            "install it in a step before, or name its path; `run` needs a shell: /bin/sh, or shell=PATH",
        )


@fields
class NotForThisMachine(SandboxFailure):
    """A file that is no program, or one of another architecture."""

    exit_code = CANNOT_EXECUTE
    name: str

    def text(self) -> tuple[str, str]:
        return f"{self.name} is not a program for this machine", "a script needs a first line like #!/bin/sh"


@fields
class CannotExecute(SandboxFailure):
    """The kernel refuses to execute a program."""

    exit_code = CANNOT_EXECUTE
    name: str
    error: OSError

    def text(self) -> tuple[str, str]:
        return f"{self.name} can't be run: {self.error.strerror}", ""


class Confinement(Record):
    """What every command of a sandbox is held by: the seccomp filter `program`, and whether it has a `single` id.
    `launcher` is a descriptor of the program that executes it."""

    program: bytes
    single: bool
    launcher: int


class Command(Record):
    """The waiting process, as process 1 knows it: its pid, where to tell it what to run, and the end of a pipe on
    which it says why that could not be executed."""

    pid: int
    orders: socket
    failed: int


def fork_command(confinement: Confinement) -> Command:
    """Fork the process that waits for its command."""
    ours, theirs = socketpair(AF_UNIX, SOCK_STREAM)
    reading, writing = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            ours.close()
            _wait_and_become(theirs, confinement, writing)
        except OSError as error:
            os.write(writing, _OURS + f"{error.errno}\0{error.filename or ''}\0{error.strerror}".encode())
        except BaseException as error:
            os.write(writing, _OURS + f"0\0\0{error!r}".encode())
        finally:
            os._exit(127)
    theirs.close()
    os.close(writing)
    return Command(pid, ours, reading)


def start(
    command: Command,
    request: Request | ExecCommand,
    identity: Identity,
    streams: Sequence[int],
    terminal: str | None,
    *,
    unfiltered: bool,
) -> None:
    """Tell the waiting process what to run. `streams` are its standard descriptors, unless it has a terminal."""
    give_pipes(streams, identity.uid, identity.gid)
    if terminal is not None:
        give_terminal(terminal, identity.uid)
    message = Execute(
        paths=candidates(request),
        argv=request.argv,
        environment=request.environment,
        directory=request.directory,
        uid=identity.uid,
        gid=identity.gid,
        groups=identity.groups,
        terminal=terminal,
        unfiltered=unfiltered,
    )
    send(command.orders, message, streams)
    command.orders.close()


def candidates(request: Request | ExecCommand) -> tuple[str, ...]:
    """Return the paths where the program of a command may be: on the command's own search path, unless it is a path
    itself."""
    name = request.argv[0]
    if "/" in name:
        return (name,)
    folders = dict(request.environment).get("PATH", "/usr/bin:/bin").split(":")
    return tuple(f"{folder}/{name}" if folder else name for folder in folders) if name else ()


def problem_of(command: Command, request: Request | ExecCommand) -> OSError | None:
    """Wait until the command was executed; return why it could not be, if so, with the path that this is about."""
    report = b""
    while part := os.read(command.failed, 4096):
        report += part
    if report.startswith(_OURS):
        words = report[1:].decode(errors="replace").split("\0", 2)
        return OSError(int(words[0]), words[2], words[1])
    return launch_problem(report, request)


def launch_problem(report: bytes, request: Request | ExecCommand) -> OSError | None:
    """Return why the launcher executed nothing, None if it did: from what it said."""
    if not report.endswith(b"\0"):
        return None  # it did not give up
    name = request.argv[0]
    problem = OSError(errno.ENOENT, os.strerror(errno.ENOENT), name)
    for path, number in zip(candidates(request), report[:-1], strict=False):
        if number == errno.ELIBACC:
            problem = OSError(number, "its interpreter or loader is missing", path)
        elif number not in (errno.ENOENT, errno.ENOTDIR):
            problem = OSError(number, os.strerror(number), path)
    return problem


def not_started(request: Request | ExecCommand, problem: OSError) -> SandboxFailure:
    """Return what is told of a command that could not be executed, and what to do about it."""
    number, name = problem.errno, problem.filename
    if name == request.directory and number in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
        return CannotEnter(name, problem)
    if number == errno.ENOENT:
        return NoProgramInTree(name)
    if number == errno.ENOEXEC:
        return NotForThisMachine(name)
    return CannotExecute(name or request.argv[0], problem)


def _wait_and_become(orders: socket, confinement: Confinement, reports: int) -> None:
    program, single = confinement.program, confinement.single
    os.setsid()
    os.umask(0o022)
    for number in CATCHABLE:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    syscalls.limit_processes(MAX_PROCESSES)
    capabilities.bound()
    received = receive(orders, EXECUTE)
    if received is None:
        return
    execute, streams = received
    # Process 1 has changed the root of both, but what was the current directory still lies on the host.
    os.chdir("/")
    if execute.terminal is not None:
        opened = os.open(execute.terminal, os.O_RDWR)
        fcntl.ioctl(opened, _TIOCSCTTY, 0)
        streams = (opened, opened, opened)
    launcher = fcntl.fcntl(confinement.launcher, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE)
    for target, source in enumerate((*streams, reports)):
        os.dup2(source, target)
    if not single:
        os.setgroups(execute.groups)
        os.setresgid(execute.gid, execute.gid, execute.gid)
    if execute.unfiltered:
        # The filter keeps others from the keys of whoever started this (keyrings(7)).
        syscalls.join_new_session_keyring()
    if program and (single or not execute.unfiltered):
        # While this process may still do everything in its namespace: else the kernel wants no_new_privs first, and
        # sudo and su would not work inside.
        syscalls.set_filter(program)
    if execute.uid != 0 and not single:
        os.setresuid(execute.uid, execute.uid, execute.uid)
    else:
        # Another user loses all capabilities with the change; root, also a pretended one, keeps these.
        capabilities.limit()
    os.chdir(execute.directory)
    syscalls.close_range(REPORTS + 1, on_exec=True)
    if not execute.paths:
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), execute.argv[0])
    os.execve(launcher, (*execute.paths, "", *execute.argv), dict(execute.environment))
