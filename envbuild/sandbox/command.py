"""The process of a sandbox that becomes the command: forked by process 1 ahead of time, told later what to run."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import signal
import termios
from collections.abc import Sequence
from socket import AF_UNIX, SOCK_STREAM, socket, socketpair

from envbuild.record import Record
from envbuild.sandbox import capabilities, syscalls
from envbuild.sandbox.accounts import Identity
from envbuild.sandbox.request import Request
from envbuild.sandbox.wire import receive, send

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
"""Signals that process 1 passes on to the command."""


MOST_PROCESSES = 4096
"""As many processes and threads one user of a sandbox may have. They are counted for each user namespace by itself
(Linux 5.14); the machine's own root is not held to it."""


class Command(Record):
    """The waiting process, as process 1 knows it: its pid, where to tell it what to run, and the end of a pipe on
    which it says why that could not be executed."""

    pid: int
    orders: socket
    failed: int


def fork_command(program: bytes, *, single: bool) -> Command:
    """Forks the process that waits for its command. `program` is the seccomp filter that it will have."""
    ours, theirs = socketpair(AF_UNIX, SOCK_STREAM)
    reading, writing = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            ours.close()
            _wait_and_become(theirs, program, single)
        except OSError as error:
            os.write(writing, f"{error.errno}\0{error.filename or ''}\0{error.strerror}".encode())
        except BaseException as error:
            os.write(writing, f"0\0\0{error!r}".encode())
        finally:
            os._exit(127)
    theirs.close()
    os.close(writing)
    return Command(pid, ours, reading)


def start(command: Command, request: Request, identity: Identity, streams: Sequence[int], terminal: str | None) -> None:
    """Tells the waiting process what to run. `streams` are its standard descriptors, unless it has a terminal."""
    payload = (
        request.argv,
        dict(request.environment),
        request.directory,
        (identity.uid, identity.gid, identity.groups),
        terminal,
        request.unfiltered,
    )
    send(command.orders, "run", payload, streams)
    command.orders.close()


def _wait_and_become(orders: socket, program: bytes, single: bool) -> None:
    os.setsid()
    os.umask(0o022)
    for number in (signal.SIGPIPE, signal.SIGXFSZ, *FORWARDED):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    resource.setrlimit(resource.RLIMIT_NPROC, (MOST_PROCESSES, MOST_PROCESSES))
    capabilities.bound()
    message = receive(orders)
    if message is None:
        return
    # Process 1 has changed the root of both, but what was the current directory still lies on the host.
    os.chdir("/")
    _, (argv, environment, directory, (uid, gid, groups), terminal, unfiltered), streams = message
    if terminal is not None:
        opened = os.open(terminal, os.O_RDWR)
        fcntl.ioctl(opened, termios.TIOCSCTTY, 0)
        streams = (opened, opened, opened)
    for target, source in enumerate(streams):
        os.dup2(source, target)
    if not single:
        os.setgroups(groups)
        os.setresgid(gid, gid, gid)
    if program and (single or not unfiltered):
        # While this process may still do everything in its namespace: else the kernel wants no_new_privs first, and
        # sudo and su would not work inside.
        syscalls.set_filter(program)
    if uid != 0 and not single:
        os.setresuid(uid, uid, uid)
    else:
        # Another user loses all capabilities with the change; root, also a pretended one, keeps these.
        capabilities.limit()
    os.chdir(directory)
    syscalls.close_range(3, on_exec=True)
    _execute(argv, environment)


def _execute(argv: tuple[str, ...], environment: dict[str, str]) -> None:
    """Executes the first program of this name on the command's own search path. Raises OSError."""
    name = argv[0]
    folders = [""] if "/" in name else environment.get("PATH", "/usr/bin:/bin").split(":")
    problem = OSError(errno.ENOENT, os.strerror(errno.ENOENT), name)
    for folder in folders:
        path = f"{folder}/{name}" if folder else name
        try:
            os.execve(path, argv, environment)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                problem = OSError(error.errno, error.strerror, path)
                if error.errno != errno.EACCES:
                    break
            elif os.path.isfile(path):
                # The file is there: what is missing is the interpreter in its first line, or its loader.
                problem = OSError(errno.ELIBACC, "its interpreter or loader is missing", path)
                break
    raise problem
