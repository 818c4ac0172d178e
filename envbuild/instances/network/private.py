"""A private network with a way out, through a program of this machine: pasta(1) or slirp4netns(1).

Nothing of the machine's loopback is reached through it, and nobody reaches the instance but by its mapped ports. The
program runs in a process namespace whose process 1 ends with whoever looks after the instance: so it can't stay behind.
"""

from __future__ import annotations

import errno
import fcntl
import os
from socket import AF_UNIX, SOCK_STREAM, socket, socketpair

from envbuild.errors import MachineLacks, WorkFailed, fields
from envbuild.instances.messages import CONNECT_REQUESTS, CONNECT_RESULTS, ConnectRequest, ConnectResult
from envbuild.instances.network.interface import Network, with_bind
from envbuild.linux import signals as signal
from envbuild.linux import syscalls
from envbuild.linux.subids import find_program
from envbuild.record import Record
from envbuild.sandbox.exec_client import Session
from envbuild.sandbox.spec import Bind, Request
from envbuild.sandbox.user_namespace import IdMap
from envbuild.sandbox.wire import receive, send

RESOLV = "/etc/resolv.conf"
TUN = "/dev/net/tun"
RESOLVER = "10.0.2.3"
"""Where either program answers questions about names, as this machine's own resolver does. It is that of slirp4netns;
the instance's address is 10.0.2.100 and its gateway 10.0.2.2 with both."""
_CONTROL, _NET, _USER, _READY = 3, 4, 5, 6
PASTA = (
    "--quiet --config-net --ns-ifname eth0 --ipv4-only --address 10.0.2.100 --netmask 24 --gateway 10.0.2.2 "
    f"--no-map-gw --dns-forward {RESOLVER} --no-dhcp --tcp-ports none --udp-ports none --tcp-ns none --udp-ns none "
    f"--userns /proc/self/fd/{_USER} --netns /proc/self/fd/{_NET}"
)
"""No port is passed on by itself in either direction, and the gateway is not this machine."""
SLIRP = (
    f"--configure --mtu=65520 --disable-host-loopback --ready-fd={_READY} --userns-path=/proc/self/fd/{_USER} "
    f"--netns-type=path /proc/self/fd/{_NET} eth0"
)


@fields
class NoNetworkTool(MachineLacks):
    """No program that private networks are made with is installed."""

    def text(self) -> tuple[str, str]:
        return "--network private needs pasta or slirp4netns", "install one: apt-get install passt"


@fields
class NoTun(MachineLacks):
    """The device that private networks are made with can't be opened."""

    error: OSError

    def text(self) -> tuple[str, str]:
        mend = f"allow it: chmod 0666 {TUN}" if self.error.errno == errno.EACCES else "load its module: modprobe tun"
        return f"--network private needs {TUN}: {self.error.strerror}", mend


@fields
class NotConnected(WorkFailed):
    """The program that connects an instance to the world did not come up."""

    program: str
    reason: str

    def text(self) -> tuple[str, str]:
        return (
            f"{self.program} can't connect the instance: {self.reason}",
            "see whether this machine itself is connected (ip route), or use --network host",
        )


class Tool(Record):
    """The program: `detaches` when it goes to the background by itself as soon as the network is up."""

    path: str
    words: tuple[str, ...]
    detaches: bool


def find_tool() -> Tool:
    """Return the program of this machine. Raises MachineLacks if there is none, or it could not work."""
    tool = None
    if path := find_program("pasta"):
        # Where it finds itself root of all ids it would go on as nobody, who has no right in the instance's namespaces.
        tool = Tool(path, ("pasta", "--runas", "0:0", *PASTA.split()), True)
    elif path := find_program("slirp4netns"):
        tool = Tool(path, ("slirp4netns", *SLIRP.split()), False)
    if tool is None:
        raise NoNetworkTool
    try:
        os.close(os.open(TUN, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        raise NoTun(error) from error
    return tool


class PrivateNetwork(Network):
    """The private network of one instance."""

    def __init__(self, ids: IdMap) -> None:
        super().__init__(ids)
        self._tool = find_tool()
        self._orders, self._keeper = _fork_keeper(self._tool)

    def attach(self, folder: str, names: tuple[str, ...], request: Request, session: Session) -> Request:
        path = os.path.realpath(f"{folder}/resolv.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"nameserver {RESOLVER}\n{_search()}")
        os.chmod(path, 0o644)
        session.connect = self._connect
        return with_bind(request, Bind(path, RESOLV)).replace(attached=True)

    def leave(self) -> None:
        self._orders.close()
        os.waitpid(self._keeper, 0)

    def _connect(self, _route: int, network: int, user: int) -> None:
        send(self._orders, ConnectRequest(), (network, user))
        received = receive(self._orders, CONNECT_RESULTS)
        reason = "it was ended" if received is None else received[0].reason
        if reason:
            raise NotConnected(self._tool.words[0], reason)


def _search() -> str:
    """Return what of the machine's own settings is true inside, too: where names are searched (resolv.conf(5))."""
    try:
        with open(RESOLV, encoding="utf-8", errors="replace") as file:
            return "".join(line for line in file if line.split()[:1] in (["search"], ["options"]))
    except OSError:
        return ""


def _fork_keeper(tool: Tool) -> tuple[socket, int]:
    """Start the process that keeps the program: where to tell it which network to connect, and its pid."""
    ours, theirs = socketpair(AF_UNIX, SOCK_STREAM)
    pid = syscalls.clone(syscalls.CLONE_NEWPID | signal.SIGCHLD)
    if pid == 0:
        try:
            os.setsid()
            os.dup2(theirs.fileno(), _CONTROL)
            syscalls.close_range(_CONTROL + 1, on_exec=False)
            _keep(socket(fileno=_CONTROL), tool)
        finally:
            os._exit(0)  # the kernel ends whatever else is in this process namespace (pid_namespaces(7))
    theirs.close()
    return ours, pid


def _keep(orders: socket, tool: Tool) -> None:
    """Process 1: starts the program for each network that it is given, one at a time; ends when nobody orders any
    more."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while (received := receive(orders, CONNECT_REQUESTS)) is not None:
        network, user = received[1]
        _end_others()
        try:
            reason = _start(tool, network, user)
        except OSError as error:
            reason = error.strerror or str(error)
        os.close(network)
        os.close(user)
        send(orders, ConnectResult(reason))


def _end_others() -> None:
    try:
        os.kill(-1, signal.SIGKILL)
        while True:
            os.wait()
    except (ProcessLookupError, ChildProcessError):
        pass  # there are none


def _start(tool: Tool, network: int, user: int) -> str:
    """Start the program and return when the network is up: why it is not, or ""."""
    ready, ready_end = os.pipe()
    errors, said = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
                signal.signal(number, signal.SIG_DFL)
            # First out of the way of the numbers that the program knows them by.
            high = [
                fcntl.fcntl(descriptor, fcntl.F_DUPFD, _READY + 1) for descriptor in (network, user, ready_end, said)
            ]
            for place, descriptor in zip((_NET, _USER, _READY, 2), high, strict=True):
                os.dup2(descriptor, place)
            os.close(_CONTROL)
            syscalls.close_range(_READY + 1, on_exec=False)
            os.execv(tool.path, tool.words)
        finally:
            os._exit(127)
    os.close(ready_end)
    os.close(said)
    up = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0 if tool.detaches else os.read(ready, 1) == b"1"
    reason = "" if up else _last_line(errors)
    os.close(ready)
    os.close(errors)
    return reason


def _last_line(errors: int) -> str:
    os.set_blocking(errors, False)
    try:
        lines = os.read(errors, 1 << 16).decode(errors="replace").strip().splitlines()
    except BlockingIOError:
        lines = []
    # pasta says so of each line where there is no system log.
    lines = [line for line in lines if "syslog" not in line]
    return lines[-1] if lines else "it does not say why"
