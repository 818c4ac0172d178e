"""What comes out of a sandbox and over control sockets, and files of a tree that process 1 reads."""

from __future__ import annotations

import os
import struct
from socket import AF_NETLINK, AF_UNIX, SO_SNDBUF, SOCK_SEQPACKET, SOCK_STREAM, SOL_SOCKET, socket, socketpair

from envbuild.errors import EnvbuildError
from envbuild.instances import control_client
from envbuild.instances.control_server import ControlServer
from envbuild.instances.messages import CONTROL_ANSWERS, CONTROL_REQUESTS, WaitRequest
from envbuild.linux.netlink import Links
from envbuild.sandbox.await_result import SandboxBug, await_result
from envbuild.sandbox.exec_client import CommandEnd, Session
from envbuild.sandbox.protocol import ANSWERS, EXECUTE, ORDERS, QUESTIONS, RUN
from envbuild.sandbox.user_lookup import identity_of
from envbuild.sandbox.wire import close_all, receive
from tests.fuzz.target import MAX_BYTES, Target, scratch


def _filled(data: bytes) -> tuple[socket, socket]:
    """A socket on which `data` waits, and its other end, which says no more."""
    ours, theirs = socketpair(AF_UNIX, SOCK_STREAM)
    # All of it has to fit, as nobody reads while it is written.
    theirs.setsockopt(SOL_SOCKET, SO_SNDBUF, 4 * MAX_BYTES)
    for end in (ours, theirs):
        end.settimeout(60)
    theirs.sendall(data)
    return ours, theirs


def _waiting() -> Session:
    """A session in which something waits for every kind of answer."""
    session = Session()
    for number in range(1, 4):
        session._waiting[number] = (_took, _took_terminal)
    from queue import SimpleQueue

    session._roots[1] = SimpleQueue()
    session.sockets = _took_sockets
    session.connect = _took_network
    return session


def _took(how: CommandEnd) -> None:
    assert isinstance(how.status, int)


def _took_terminal(master: int) -> None:
    assert os.isatty(master)
    os.close(master)


def _took_sockets(protocol: str, count: int, descriptors: tuple[int, ...]) -> None:
    assert protocol in ("tcp", "udp")
    assert len(descriptors) <= count
    for descriptor in descriptors:
        os.close(descriptor)


def _took_network(route: int, network: int, user: int) -> None:
    assert socket(fileno=os.dup(route)).family == AF_NETLINK


def read_answers(data: bytes) -> None:
    """All that a process 1 that somebody took over can say."""
    before = _open_descriptors()
    ours, theirs = _filled(data)
    theirs.close()
    with ours:
        outcome = await_result(ours, None, _took_terminal, 0.0, _waiting(), lambda: None)
    assert isinstance(outcome.status, int)
    assert all(isinstance(path, str) for path in outcome.made)
    assert _open_descriptors() == before


def _open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


_ALL = {**ANSWERS, **EXECUTE, **ORDERS, **QUESTIONS, **RUN}


def read_messages(data: bytes) -> None:
    ours, theirs = _filled(data)
    theirs.close()
    with ours:
        while (received := receive(ours, _ALL)) is not None:
            close_all(received[1])


class _Supervisor:
    """What a control server may ask for."""

    def signal(self, number: int) -> None:
        assert isinstance(number, int)

    def stop(self, seconds: float | None = None) -> None:
        assert seconds is None or isinstance(seconds, int | float)

    def wait(self) -> int:
        return 0


class _Server(ControlServer):
    """The side of the supervisor without its socket in a folder."""

    def __init__(self) -> None:
        self._session = Session()
        self._supervisor = _Supervisor()


def ask(data: bytes) -> None:
    """A message to a supervisor, from somebody who is the store's owner but no envbuild."""
    ours, theirs = _filled(data)
    theirs.shutdown(1)
    with theirs, ours:
        _Server()._answer_on(ours, crowded=False)


class _Instance:
    name = "a"


def read_control_answers(data: bytes) -> None:
    """What a command makes of a supervisor's answers."""
    from unittest.mock import patch

    ours, theirs = _filled(data)
    theirs.shutdown(1)
    before = control_client.connect
    with theirs, patch.object(control_client, "connect", lambda instance: ours):
        assert before is not control_client.connect
        control_client.ask(_Instance(), WaitRequest())  # type: ignore[arg-type]


def read_accounts(data: bytes) -> None:
    for name in ("passwd", "group"):
        with open(f"{scratch()}/{name}", "wb") as file:
            file.write(data)

    def opened(path: str, flags: int) -> int:
        return os.open(f"{scratch()}/{os.path.basename(path)}", flags)

    first = data.decode(errors="surrogateescape").split(":")[0]
    for user in ("ada", "ada:staff", "7", first, f"{first}:{first}"):
        try:
            identity = identity_of(user, opened)
        except EnvbuildError:
            continue
        assert all(0 <= number < 2**32 - 1 for number in (identity.uid, identity.gid, *identity.groups))


def read_netlink(data: bytes) -> None:
    """The answers to one request, each with its length before it."""
    ours, theirs = socketpair(AF_UNIX, SOCK_SEQPACKET)
    at = 0
    ours.settimeout(60)
    theirs.setblocking(False)
    while at + 2 <= len(data):
        (size,) = struct.unpack_from(">H", data, at)
        part = data[at + 2 : at + 2 + size]
        at += 2 + size
        if part:
            try:
                theirs.sendall(part)
            except OSError:
                break  # it is full
    theirs.close()
    links = Links.__new__(Links)
    links._socket, links._number = _Sent(ours), 0  # type: ignore[assignment]
    with ours:
        links._ask(16, 0, b"")


class _Sent:
    """A socket to which nothing is really sent."""

    def __init__(self, link: socket) -> None:
        self._link = link

    def sendto(self, data: bytes, address: object) -> None:
        pass

    def recv(self, size: int) -> bytes:
        return self._link.recv(size)


_WIRE = (
    *(name.encode() for name in (*_ALL, *CONTROL_ANSWERS, *CONTROL_REQUESTS)),
    b"(\x02\0\0\0",
    b")\x02",
    b"i\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"tcp",
    b"udp",
)

TARGETS = (
    Target("answers", read_answers, (EnvbuildError, SandboxBug), _WIRE),
    Target("messages", read_messages, (EnvbuildError,), _WIRE),
    Target("control", ask, (), _WIRE),
    Target("control-answers", read_control_answers, (EnvbuildError,), _WIRE),
    Target(
        "accounts",
        read_accounts,
        (),
        (b"ada:x:1:1:::", b"staff:x:2:ada", b":", b"\n", b"4294967295", "\u00b2".encode()),
    ),
    Target("netlink", read_netlink, (OSError,), (b"\0\x24", b"\2\0", b"\1\0\0\0")),
)
