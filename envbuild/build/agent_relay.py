"""The user's SSH agent, as a step has it: a socket of ours, from which lists of keys and signatures are asked for.

An agent answers only processes of its own user (and root's), and the processes of a step may have other ids. So a
thread of the build connects to it for them. It passes on what a client of SSH needs; a step can neither add keys to the
agent nor take them away or lock it. The form of the messages is that of RFC 9987 (draft-ietf-sshm-ssh-agent).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from socket import AF_UNIX, SHUT_RDWR, SOCK_CLOEXEC, SOCK_STREAM, socket

MAX_MESSAGE = 256 << 10
"""Bytes of one message, as in ssh-agent(1) itself."""
MAX_CONNECTIONS = 32
"""Of one step at a time; more wait until one of these ends."""
ANSWER_SECONDS = 10.0
"""How long an agent may take to say which keys it has."""
_FAILURE, _LIST, _KEYS, _SIGN, _EXTENSION = 5, 11, 12, 13, 27
_SESSION_BIND = b"session-bind@openssh.com"
"""Tells the agent which server a connection is for, so that it can hold keys back from all others (ssh-add -h)."""
_LENGTH = 4


class AgentSilent(Exception):
    """An agent can't be asked; the text says why."""


def count_keys(path: str) -> int:
    """Return how many keys an agent has. Raises AgentSilent."""
    try:
        with socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC) as agent:
            agent.settimeout(ANSWER_SECONDS)
            agent.connect(path)
            _send(agent, bytes((_LIST,)))
            answer = _receive(agent)
    except OSError as error:
        raise AgentSilent(error.strerror or str(error)) from error
    if answer is None or answer[0] != _KEYS or len(answer) < 1 + _LENGTH:
        raise AgentSilent("it does not answer as an agent does")
    return int.from_bytes(answer[1 : 1 + _LENGTH], "big")


def passes(message: bytes) -> bool:
    """Tell whether a step may ask this of the agent."""
    kind, rest = message[0], message[1:]
    if kind == _EXTENSION:
        return rest[: _LENGTH + len(_SESSION_BIND)] == len(_SESSION_BIND).to_bytes(_LENGTH, "big") + _SESSION_BIND
    return kind in (_LIST, _SIGN)


class AgentRelay:
    """The way of one step to the agent at `path`. Use it as a context manager around the run of the step."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._places = threading.Semaphore(MAX_CONNECTIONS)
        self._sockets: set[socket] = set()
        self._threads: set[threading.Thread] = set()
        self._over = False

    def __enter__(self) -> AgentRelay:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def listen(self, folder: str) -> str:
        """Begin to answer on a socket in `folder`, and return its path. Nobody else can enter the directory that it
        lies in: it is open to those who have it mounted, whatever their ids are, and to no one else."""
        home = f"{folder}/agent"
        os.mkdir(home, 0o700)
        held = os.open(home, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC)
        try:
            # By way of the descriptor: the path of a socket has 108 bytes at most (unix(7)).
            listening.bind(f"/proc/self/fd/{held}/socket")
            os.chmod("socket", 0o666, dir_fd=held)
            listening.listen(MAX_CONNECTIONS)
            self._begin(self._accept, listening)
        except BaseException:
            listening.close()
            raise
        finally:
            os.close(held)
        return f"{home}/socket"

    def close(self) -> None:
        """End it, with all its connections."""
        with self._lock:
            self._over = True
            for end in self._sockets:
                _shut(end)
        self._places.release()  # the thread that accepts may wait for it
        while threads := self._left():
            threads[0].join()

    def _left(self) -> list[threading.Thread]:
        with self._lock:
            return list(self._threads)

    def _begin(self, work: Callable[[socket], None], end: socket) -> None:
        """Have a thread work on a socket, which it closes in the end."""

        def run() -> None:
            try:
                with end:
                    self._while_open(end, work)
            except OSError:
                pass  # one of the two sides is gone
            finally:
                with self._lock:
                    self._threads.discard(thread)

        thread = threading.Thread(target=run, name="ssh agent", daemon=True)
        with self._lock:  # whoever ends the relay meanwhile may join only what was started
            self._threads.add(thread)
            thread.start()

    def _while_open(self, end: socket, work: Callable[[socket], None]) -> None:
        """Work on a socket; whoever waits for something on it is woken when all is over."""
        with self._lock:
            if self._over:
                return
            self._sockets.add(end)
        try:
            work(end)
        finally:
            with self._lock:
                self._sockets.discard(end)

    def _accept(self, listening: socket) -> None:
        while not self._over:
            self._places.acquire()
            client, _ = listening.accept()
            self._begin(self._serve, client)

    def _serve(self, client: socket) -> None:
        try:
            with socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC) as agent:
                agent.settimeout(ANSWER_SECONDS)
                agent.connect(self._path)
                agent.settimeout(None)  # somebody may have to confirm a signature, or to touch a key
                self._while_open(agent, lambda agent: _pass_on(client, agent))
        finally:
            self._places.release()


def _pass_on(client: socket, agent: socket) -> None:
    while (message := _receive(client)) is not None:
        answer: bytes | None = bytes((_FAILURE,))
        if passes(message):
            _send(agent, message)
            answer = _receive(agent)
        if answer is None:
            return
        _send(client, answer)


def _send(end: socket, message: bytes) -> None:
    end.sendall(len(message).to_bytes(_LENGTH, "big") + message)


def _receive(end: socket) -> bytes | None:
    """Return the next message, which is not empty; None at the end, or where what comes is none."""
    head = _exactly(end, _LENGTH)
    length = int.from_bytes(head, "big")
    if len(head) < _LENGTH or not 0 < length <= MAX_MESSAGE:
        return None
    message = _exactly(end, length)
    return message if len(message) == length else None


def _exactly(end: socket, length: int) -> bytes:
    """Return so many bytes, fewer at the end."""
    parts = []
    while length and (part := end.recv(length)):
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def _shut(end: socket) -> None:
    try:
        end.shutdown(SHUT_RDWR)
    except OSError:
        pass  # it is not connected any more
