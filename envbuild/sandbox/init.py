"""Process 1 of a sandbox: mounts the tree, changes into it, starts the command, and reaps.

It answers on the socket of its run with messages of protocol.ANSWERS. When it ends the kernel ends all other
processes of the sandbox, and the mounts go with the namespace.
"""

from __future__ import annotations

import fcntl
import os
import struct
import sys

from envbuild import module_pack
from envbuild.errors import EnvbuildError
from envbuild.linux import signals as signal
from envbuild.linux import syscalls
from envbuild.linux.sockets import AF_INET, SOCK_DGRAM, SOCK_STREAM, sethostname, socket
from envbuild.sandbox import mounts
from envbuild.sandbox.child import FORWARDED, Command, Confinement, fork_command, not_started, problem_of, start
from envbuild.sandbox.exec_server import ExecServer
from envbuild.sandbox.hosts import ensure_hosts, put_hosts
from envbuild.sandbox.idmapped_mounts import Sources, open_sources, receive_sources
from envbuild.sandbox.overlay import mount_overlay
from envbuild.sandbox.own_init import command_as_init
from envbuild.sandbox.protocol import RUN, Bug, Ended, Failed, Listener, Running, Terminal
from envbuild.sandbox.readonly_binds import FixedParts
from envbuild.sandbox.spec import PROXY_ADDRESS, Request
from envbuild.sandbox.user_lookup import Identity, identity_of
from envbuild.sandbox.user_namespace import why_refused
from envbuild.sandbox.wire import receive, receive_with_descriptors, send

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


STAGE = "/sys"
"""Where the root is put together before it becomes the root: a directory of the host that nothing here reads any
more, covered in this mount namespace only."""
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1
_TIOCSPTLCK, _TIOCGPTN = 0x40045431, 0x80045430


_TITLE = b"envbuild: init"


def run_init(hand: int, confinement: Confinement, *, network: bool, shifted: bool) -> None:
    """Do all that process 1 does; never returns.

    On the socket `hand` come a byte when the id map is written and then, when there is a command to run, its three
    standard descriptors and the socket of its run. Where ids are `shifted`, the sources of the request come with it.
    """
    status = 1
    link: socket | None = None
    failure: BaseException | None = None
    try:
        orders = begin(hand, shifted)
        held: tuple[mounts.Detached, ...] = ()
        command = fork_command(confinement)
        try:
            syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
            held = prepare(network=network)
            # Here nobody waits for it, and nothing runs that could send one.
            for forwarded in FORWARDED:
                signal.signal(forwarded, lambda number, _frame: _forward(command.pid, number))
        except (OSError, EnvbuildError) as error:
            failure = error  # for whoever wants something run: told when there is somebody to tell
        hail, descriptors = receive_with_descriptors(orders, 1)
        if not hail:
            os._exit(1)
        orders.close()
        stdin, output, errors, answer = descriptors
        link = socket(fileno=answer)
        if failure is not None:
            raise failure
        received = receive(link, RUN)
        if received is None:
            os._exit(1)  # there is nothing to run after all
        request = received[0].request
        sources = receive_sources(link, request) if shifted else open_sources(request)
        if request.unfiltered and not confinement.single:
            confinement = confinement.replace(program=b"")
        if request.as_init:
            command, held = command_as_init(STAGE, held, command, confinement, request.group)
        exec_server = ExecServer(link, confinement, terminal=_new_terminal, unfiltered=request.unfiltered)
        status = _run(request, sources, held, link, command, (stdin, output, errors), exec_server)
    except (EnvbuildError, OSError) as error:
        _report(link, failed(error))
    except BaseException as error:
        _report(link, Bug(trace(error)))
    finally:
        os._exit(status)


def _report(link: socket | None, problem: Failed | Bug) -> None:
    if link is not None:
        send(link, problem)


def begin(hand: int, shifted: bool) -> socket:
    """Do what a sandbox's process 1 does first; return the socket of its orders when its id map is written, and it is
    root by that."""
    orders = socket(fileno=hand)
    _load_nothing_more()
    _hide_command_line()
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    if orders.recv(1) != b"m":
        os._exit(1)
    if shifted:
        become_root()
    # Nothing in the sandbox may look into this process, which knows the host's environment. Not before the id map is
    # written: the files in /proc of a process that can't be dumped belong to the machine's root.
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    return orders


def prepare(*, network: bool, mount_proc: Callable[[str], None] = mounts.mount_proc) -> tuple[mounts.Detached, ...]:
    """Do all that can be done before it is known what will run."""
    if not network:
        _raise_loopback()
    return mounts.prepare(STAGE, network=network, mount_proc=mount_proc)


def failed(error: EnvbuildError | OSError) -> Failed:
    """Return the message for a sandbox that could not be set up."""
    if isinstance(error, EnvbuildError):
        return Failed(error.message, error.hint, error.exit_code)
    named = f" ({error.filename})" if error.filename else ""
    return Failed(f"the sandbox can't be set up: {error.strerror or error}{named}", why_refused(error))


def _load_nothing_more() -> None:
    """Have the interpreter find no further modules: after the root has changed they would be the image's."""
    for searched in (sys.path, sys.path_hooks, sys.path_importer_cache):
        searched.clear()
    module_pack.release()


def _hide_command_line() -> None:
    """Put a title over the command line: everybody in the sandbox can read it (proc_pid_cmdline(5)), and it tells where
    on the host envbuild lies and what it was asked for."""
    with open("/proc/self/stat", "rb") as file:
        # From the third on, as the second may hold anything (proc_pid_stat(5)): arg_start and arg_end are 48 and 49.
        fields = file.read().rpartition(b")")[2].split()
    start, end = int(fields[45]), int(fields[46])
    if 0 < start < end:
        syscalls.overwrite(start, _TITLE[: end - start - 1].ljust(end - start, b"\0"))
    syscalls.set_name(_TITLE.replace(b": ", b"-"))


def become_root() -> None:
    """Take the ids that are root's inside: until then this process has ids that the namespace has not."""
    os.setgroups(())
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    # The kernel forgets it with a change of ids (PR_SET_PDEATHSIG(2const)).
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)


def _run(
    request: Request,
    sources: Sources,
    prepared: tuple[mounts.Detached, ...],
    link: socket,
    command: Command,
    streams: tuple[int, int, int],
    exec_server: ExecServer,
) -> int:
    # The /proc of the tree may be that of another namespace.
    kinds = ("net", "user") if request.attached else ()
    namespaces = tuple(os.open(f"/proc/self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in kinds)
    identity, made = enter_tree(request, sources, prepared)
    terminal = _open_terminal(link) if request.terminal else None
    if request.proxied:
        _send_listeners(link, request)
    if request.attached:
        exec_server.wait_for_network(namespaces)
    start(command, request, identity, streams, terminal, unfiltered=request.unfiltered)
    for descriptor in set(streams):
        os.close(descriptor)
    if request.serve:
        # The pipe ends when the command is executed; until then nobody waits for anything else.
        problem = problem_of(command, request)
        if problem is None:
            send(link, Running())
        code, number = exec_server.serve_until(command.pid)
    else:
        code, number = _reap(command.pid)
        problem = problem_of(command, request)
    if problem is not None:
        raise not_started(request, problem)
    send(link, Ended(code, number, made))
    return 0


def enter_tree(
    request: Request, sources: Sources, prepared: tuple[mounts.Detached, ...]
) -> tuple[Identity, tuple[str, ...]]:
    """Mount all that a request asks for and make it this process's root; return whom its command runs as, and the mount
    points that had to be made."""
    binds = mounts.binds_and_scratch(request, sources.binds)
    request = mounts.attach_folders(request, f"{STAGE}/layers", sources.folders)
    root = f"{STAGE}/root"
    # What is fixed comes first: a bind may lie in it.
    fixed = _mount_tree(request, root, mounts.mount_points(request, binds))
    held = (*fixed, *mounts.with_tmp_of_tree(prepared, request.tmp, STAGE), *binds)
    os.chdir(root)
    syscalls.pivot_root(".", ".")
    # The old root now lies on the new one; taken away, no path leads to it any more.
    syscalls.umount(".", syscalls.MNT_DETACH)
    os.chdir("/")
    if request.names:
        ensure_hosts(request.hosts)  # before a bind is attached, which a link of the tree could lead to
    identity = identity_of(request.user)
    made = mounts.attach(held, request.secrets, (identity.uid, identity.gid))
    _set_hostname(request.hostname)
    return identity, made


def _mount_tree(request: Request, root: str, points: tuple[tuple[str, bool], ...]) -> tuple[mounts.Detached, ...]:
    """Mount the request's tree at `root`, with these mount points; return what is still to be attached in it."""
    skeleton = f"{STAGE}/skeleton"
    mounts.make_skeleton(skeleton, points)
    if request.names:
        put_hosts(skeleton, request.hosts)
    parts = FixedParts(request, STAGE, points)
    if request.upper is None and parts.has_checkout:
        parts.mount_root(root)
        return ()
    mount_overlay((*request.layers, skeleton), request.upper, request.work, root, lasting=request.lasting)
    return parts.held(request.fixed)


def trace(error: BaseException) -> str:
    """Return where an exception came from. The root has changed: the module that formats them can't be loaded any
    more."""
    lines = [f"{type(error).__name__}: {error}"]
    step = error.__traceback__
    while step is not None:
        lines.append(f"  {step.tb_frame.f_code.co_filename}:{step.tb_lineno} in {step.tb_frame.f_code.co_name}")
        step = step.tb_next
    return "\n".join(lines)


def _set_hostname(name: str) -> None:
    """Set the host name of the sandbox's own namespace."""
    sethostname(name)


def _reap(child: int) -> tuple[int, int]:
    """Wait for the command while reaping what it left behind; return its (exit code, signal)."""
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


def _raise_loopback() -> None:
    with socket(AF_INET, SOCK_DGRAM) as control:
        asked = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(control, _SIOCGIFFLAGS, asked))[1]
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))


def _send_listeners(link: socket, request: Request) -> None:
    """Give whoever asked for the run the sockets that listen here: they belong to this network wherever they are
    used."""
    listening = []
    try:
        for address in (PROXY_ADDRESS, *((door.address, door.port) for door in request.doors)):
            listening.append(socket(AF_INET, SOCK_STREAM))
            listening[-1].bind(address)
            listening[-1].listen(128)
        send(link, Listener(), tuple(end.fileno() for end in listening))
    finally:
        for end in listening:
            end.close()


def _open_terminal(link: socket) -> str:
    """Return a terminal of the sandbox's own; its master side goes to whoever asked for the run."""
    master, path = _new_terminal()
    send(link, Terminal(), (master,))
    os.close(master)
    return path


def _new_terminal() -> tuple[int, str]:
    """Return a new terminal: its master side, and the path of the other one."""
    master = os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
    (number,) = struct.unpack("i", fcntl.ioctl(master, _TIOCGPTN, struct.pack("i", 0)))
    return master, f"/dev/pts/{number}"
