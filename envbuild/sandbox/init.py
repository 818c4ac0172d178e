"""Process 1 of a sandbox: mounts the tree, changes into it, starts the command, and reaps.

It answers on the socket of its run with (kind, payload) messages, see wire.py. When it ends the kernel ends all
other processes of the sandbox, and the mounts go with the namespace.
"""

from __future__ import annotations

import array
import errno
import fcntl
import os
import signal
import socket as socket_module
import struct
import termios
from socket import AF_INET, SOCK_DGRAM, socket

from envbuild.errors import EnvbuildError
from envbuild.sandbox import capabilities, mounts, seccomp, syscalls
from envbuild.sandbox.accounts import Identity, identity_of
from envbuild.sandbox.failure import SandboxFailure
from envbuild.sandbox.overlay import mount_overlay
from envbuild.sandbox.request import Request
from envbuild.sandbox.wire import receive_request, send

STAGE = "/sys"
"""Where the root is put together before it becomes the root: a folder of the host that nothing here reads any
more, covered in this mount namespace only."""
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1
_TIOCSPTLCK, _TIOCGPTN = 0x40045431, 0x80045430
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def run_init(link: socket, stdin: int, output: int, errors: int, ready: int, *, single: bool) -> None:
    """Does all that process 1 does; never returns. `ready` gives a byte when the id map is written."""
    status = 1
    try:
        if os.read(ready, 1) != b"g":
            os._exit(1)
        os.close(ready)
        request = receive_request(link)
        status = _run(request, link, stdin, output, errors, single)
    except EnvbuildError as error:
        send(link, "failed", (error.message, error.hint))
    except OSError as error:
        named = f" ({error.filename})" if error.filename else ""
        send(link, "failed", (f"the sandbox can't be set up: {error.strerror or error}{named}", "try: envbuild doctor"))
    except BaseException as error:
        send(link, "bug", (_trace(error), ""))
    finally:
        os._exit(status)


def _run(request: Request, link: socket, stdin: int, output: int, errors: int, single: bool) -> int:
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    # Nothing in the sandbox may look into this process, which knows the host's environment.
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
    held = mounts.open_mounts(request)
    points = mounts.mount_points(request)
    syscalls.mount("stage", STAGE, "tmpfs", syscalls.MS_NODEV, "mode=755")
    skeleton, root = f"{STAGE}/skeleton", f"{STAGE}/root"
    os.mkdir(skeleton, 0o755)
    os.mkdir(root, 0o755)
    mounts.make_skeleton(skeleton, points)
    mount_overlay((*request.layers, skeleton), request.upper, request.work, root)
    os.chdir(root)
    syscalls.pivot_root(".", ".")
    # The old root now lies on the new one; taken away, no path leads to it any more.
    syscalls.umount(".", syscalls.MNT_DETACH)
    os.chdir("/")
    identity = identity_of(request.user)
    made = mounts.attach(held, request.secrets, (identity.uid, identity.gid))
    _set_hostname(request.hostname)
    if not request.network:
        _raise_loopback()
    terminal = _open_terminal(link) if request.terminal else None
    child, failed = _start(request, identity, stdin, output, errors, terminal, single)
    code, number = _reap(child)
    problem = os.read(failed, 4096)
    if problem:
        raise _not_started(request, problem)
    send(link, "ended", (code, number, made))
    return 0


def _trace(error: BaseException) -> str:
    """Where an exception came from. The root has changed: the module that formats them can't be loaded any more."""
    lines = [f"{type(error).__name__}: {error}"]
    step = error.__traceback__
    while step is not None:
        lines.append(f"  {step.tb_frame.f_code.co_filename}:{step.tb_lineno} in {step.tb_frame.f_code.co_name}")
        step = step.tb_next
    return "\n".join(lines)


def _set_hostname(name: str) -> None:
    """Sets the host name of the sandbox's own namespace."""
    socket_module.sethostname(name)


def _start(
    request: Request,
    identity: Identity,
    stdin: int,
    output: int,
    errors: int,
    terminal: str | None,
    single: bool,
) -> tuple[int, int]:
    """Forks the command; returns its pid and a descriptor that tells why it could not be executed."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        try:
            _become(request, identity, stdin, output, errors, terminal, single)
        except OSError as error:
            os.write(writing, f"{error.errno}\0{error.filename or ''}\0{error.strerror}".encode())
        except BaseException as error:
            os.write(writing, f"0\0\0{error!r}".encode())
        finally:
            os._exit(127)
    os.close(writing)
    for descriptor in {stdin, output, errors}:
        os.close(descriptor)
    for number in _FORWARDED:
        signal.signal(number, lambda number, _frame: _forward(child, number))
    return child, reading


def _become(
    request: Request, identity: Identity, stdin: int, output: int, errors: int, terminal: str | None, single: bool
) -> None:
    """Turns the forked child into the command."""
    os.setsid()
    if terminal is not None:
        stdin = output = errors = os.open(terminal, os.O_RDWR)
        fcntl.ioctl(stdin, termios.TIOCSCTTY, 0)
    for source, target in ((stdin, 0), (output, 1), (errors, 2)):
        os.dup2(source, target)
    os.umask(0o022)
    for number in (signal.SIGPIPE, signal.SIGXFSZ, *_FORWARDED):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    capabilities.bound()
    # While this process may still do everything in its namespace: else the kernel wants no_new_privs first, and
    # sudo and su would not work inside.
    program = seccomp.filter_program(pretend_ownership=single)
    if not single:
        os.setgroups(identity.groups)
        os.setresgid(identity.gid, identity.gid, identity.gid)
    if program:
        syscalls.set_filter(program)
    if identity.uid != 0 and not single:
        os.setresuid(identity.uid, identity.uid, identity.uid)
    else:
        # Another user loses all capabilities with the change; root, also a pretended one, keeps these.
        capabilities.limit()
    os.chdir(request.directory)
    syscalls.close_range(3, on_exec=True)
    environment = dict(request.environment)
    _execute(request.argv, environment)


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


def _reap(child: int) -> tuple[int, int]:
    """Waits for the command while reaping what it left behind; (exit code, signal)."""
    while True:
        try:
            pid, status = os.waitpid(-1, 0)
        except InterruptedError:
            continue
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            return (code, 0) if code >= 0 else (128 - code, -code)


def _forward(child: int, number: int) -> None:
    try:
        os.kill(child, number)
    except ProcessLookupError:
        pass


def _not_started(request: Request, problem: bytes) -> SandboxFailure:
    number, name, text = problem.decode(errors="replace").split("\0", 2)
    if name == request.directory and int(number) in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
        return SandboxFailure(
            f"the working directory {name} can't be entered: {text}", "make it first, or set another with `workdir`"
        )
    if int(number) == errno.ENOENT:
        return SandboxFailure(
            f"there is no program '{name}' in the tree",
            "install it in a step before, or name its path; `run` needs a shell: /bin/sh, or shell=PATH",
        )
    if int(number) == errno.ENOEXEC:
        return SandboxFailure(f"{name} is not a program for this machine", "a script needs a first line like #!/bin/sh")
    return SandboxFailure(f"{name or request.argv[0]} can't be run: {text}")


def _raise_loopback() -> None:
    with socket(AF_INET, SOCK_DGRAM) as control:
        asked = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(control, _SIOCGIFFLAGS, asked))[1]
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))


def _open_terminal(link: socket) -> str:
    """A terminal of the sandbox's own; its master side goes to whoever asked for the run."""
    master = os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    unlock = array.array("i", [0])
    fcntl.ioctl(master, _TIOCSPTLCK, unlock)
    number = array.array("i", [0])
    fcntl.ioctl(master, _TIOCGPTN, number)
    send(link, "terminal", (), (master,))
    os.close(master)
    return f"/dev/pts/{number[0]}"
