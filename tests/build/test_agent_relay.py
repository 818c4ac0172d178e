"""A step's way to the SSH agent: what it passes on, what it refuses, and how it ends. The agent is one of ours here;
with ssh's own it is tried in tests/end_to_end/test_user_grants.py."""

import os
import socket
import threading
from contextlib import suppress

import pytest

from envbuild.build.agent_relay import (
    MAX_CONNECTIONS,
    MAX_MESSAGE,
    AgentRelay,
    AgentSilent,
    count_keys,
)

FAILURE, LIST, KEYS, SIGN, SIGNATURE = b"\x05", b"\x0b", b"\x0c", b"\x0d", b"\x0e"
BIND = b"\x1b" + b"\0\0\0\x18session-bind@openssh.com"
NEITHER = b"\x1b" + b"\0\0\0\x05query"


def framed(message: bytes) -> bytes:
    return len(message).to_bytes(4, "big") + message


def answer_to(client: socket.socket, message: bytes) -> bytes:
    client.sendall(framed(message))
    length = int.from_bytes(client.recv(4, socket.MSG_WAITALL), "big")
    return client.recv(length, socket.MSG_WAITALL)


class Agent:
    """Answers each message with what it is told, and keeps what it was asked."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.asked: list[bytes] = []
        self.answers: dict[bytes, bytes] = {LIST: KEYS + b"\0\0\0\x02", SIGN: SIGNATURE}
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(path)
        self._listening.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            while head := client.recv(4, socket.MSG_WAITALL):
                message = client.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL)
                self.asked.append(message)
                client.sendall(framed(self.answers.get(message[:1], b"\x06")))

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


@pytest.fixture
def agent(tmp_path):
    made = Agent(str(tmp_path / "agent.sock"))
    yield made
    made.close()


@pytest.fixture
def way(agent, tmp_path):
    # A path that is longer than a socket's may be.
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    with AgentRelay(agent.path) as relay:
        yield os.path.relpath(relay.listen(str(folder)))
    assert not [thread for thread in threading.enumerate() if thread.name == "ssh agent"]


@pytest.fixture
def connect(way, monkeypatch):
    monkeypatch.chdir(os.path.dirname(way))

    def connect() -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(20)
        client.connect("socket")
        return client

    return connect


def test_keys_are_listed_and_used_and_nothing_else_reaches_the_agent(agent, connect):
    with connect() as client:
        assert answer_to(client, LIST) == KEYS + b"\0\0\0\x02"
        assert answer_to(client, SIGN + b"what is to be signed") == SIGNATURE
        assert answer_to(client, BIND) == b"\x06"
        # Adding a key, with and without constraints, and one of a card; taking keys away; locking, unlocking; SSH 1.
        for kind in (17, 25, 20, 26, 18, 19, 21, 22, 23, 1, 3, 7, 8, 9, 0, 255):
            assert answer_to(client, bytes((kind,)) + b"x") == FAILURE
        for extension in (NEITHER, b"\x1b", BIND[:-1], b"\x1b\xff\xff\xff\xff"):
            assert answer_to(client, extension) == FAILURE
        assert answer_to(client, LIST) == KEYS + b"\0\0\0\x02"
    assert agent.asked == [LIST, SIGN + b"what is to be signed", BIND, LIST]


def test_the_socket_lies_where_nobody_else_can_enter(way):
    assert os.stat(os.path.dirname(way)).st_mode & 0o777 == 0o700
    assert os.stat(way).st_mode & 0o777 == 0o666


@pytest.mark.parametrize("sent", [b"\0\0\0\0", (MAX_MESSAGE + 1).to_bytes(4, "big") + b"\x0b", b"\xff" * 64, b"\0\0"])
def test_what_is_no_message_ends_the_connection_and_no_other(agent, connect, sent):
    with connect() as client, connect() as other:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):
            assert client.recv(1) == b""
        assert answer_to(other, LIST)[:1] == KEYS
    assert agent.asked == [LIST]


def test_the_largest_message_passes_and_a_larger_answer_does_not(agent, connect):
    with connect() as client:
        sender = threading.Thread(target=client.sendall, args=(framed(SIGN + b"x" * (MAX_MESSAGE - 1)),))
        sender.start()
        assert client.recv(5, socket.MSG_WAITALL) == framed(SIGNATURE)
        sender.join()
        agent.answers[SIGN] = b"y" * (MAX_MESSAGE + 1)
        client.sendall(framed(SIGN))
        with suppress(ConnectionResetError):
            assert client.recv(1) == b""


def test_many_connections_wait_for_each_other(agent, connect):
    clients = [connect() for _ in range(MAX_CONNECTIONS)]
    assert [answer_to(client, LIST)[:1] for client in clients] == [KEYS] * MAX_CONNECTIONS
    late = connect()
    late.sendall(framed(LIST))
    late.settimeout(0.2)
    with pytest.raises(TimeoutError):
        late.recv(1)
    clients.pop().close()
    late.settimeout(20)
    assert late.recv(5, socket.MSG_WAITALL)[4:] == KEYS
    for client in (*clients, late):
        client.close()


def test_the_end_of_a_step_ends_connections_that_are_open_and_waiting(agent, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with AgentRelay(agent.path) as relay:
        relay.listen(".")
        held = [socket.socket(socket.AF_UNIX) for _ in range(MAX_CONNECTIONS + 3)]
        for client in held:
            client.connect("agent/socket")
        assert answer_to(held[0], LIST)[:1] == KEYS
        held[1].sendall(b"\0\0")  # in the middle of a message
    for client in held:
        with client, suppress(ConnectionResetError):
            assert client.recv(1) == b""
    assert not [thread for thread in threading.enumerate() if thread.name == "ssh agent"]


def test_an_agent_that_is_gone_fails_the_client_alone(agent, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with AgentRelay(str(tmp_path / "gone")) as relay, socket.socket(socket.AF_UNIX) as client:
        relay.listen(".")
        client.connect("agent/socket")
        with suppress(ConnectionResetError):
            assert client.recv(1) == b""


def test_keys_are_counted_or_it_is_said_why_not(agent, tmp_path):
    assert count_keys(agent.path) == 2
    agent.answers[LIST] = FAILURE
    with pytest.raises(AgentSilent, match="does not answer as an agent does"):
        count_keys(agent.path)
    with pytest.raises(AgentSilent, match="No such file or directory"):
        count_keys(str(tmp_path / "none"))
    (tmp_path / "file").touch()
    with pytest.raises(AgentSilent, match="refused"):
        count_keys(str(tmp_path / "file"))
