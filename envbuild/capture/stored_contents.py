"""The contents of a capture's files, for a process that writes files of the machine.

The machine's owners show only outside of a user namespace, and files of the store that belong to an image's users can
be read by an ordinary user only inside of one. So such a user has a process in there, which hands out open files.
"""

from __future__ import annotations

import marshal
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from envbuild.errors import EnvbuildError
from envbuild.linux.forked import ChildError, ChildKilled
from envbuild.sandbox.user_namespace import SINGLE, enter_user_namespace
from envbuild.store.store import Store
from envbuild.tree.entry import Entry

_MAX_MESSAGE = 1 << 20
_MAX_DESCRIPTORS = 1


class Contents(Protocol):
    """Where the contents of a capture's files come from."""

    def open(self, entry: Entry) -> int:
        """Return a descriptor of a file's content, which was checked. Raises StoreDamaged and ContentPromised, or
        ChildError for them, and OSError."""


@contextmanager
def stored_contents(store: Store) -> Iterator[Contents]:
    """Yield the contents of a store. The process has one thread."""
    if os.geteuid() == 0:
        yield store.objects
        return
    own, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        try:
            own.close()
            _hand_out(store.path, theirs)
        finally:
            os._exit(0)
    theirs.close()
    try:
        yield _Forked(own, pid)
    finally:
        own.close()
        _wait(pid)


def read_content(contents: Contents, entry: Entry) -> bytes:
    """Return all bytes of a file, which its caller knows to be small."""
    with open(contents.open(entry), "rb") as file:
        return file.read()


class _Forked:
    def __init__(self, requests: socket.socket, pid: int) -> None:
        self._requests, self._pid = requests, pid

    def open(self, entry: Entry) -> int:
        """Return a descriptor from the process that can open it."""
        try:
            self._requests.send(marshal.dumps(tuple(entry)))
            message, descriptors, _, _ = socket.recv_fds(self._requests, _MAX_MESSAGE, _MAX_DESCRIPTORS)
        except BrokenPipeError:
            message, descriptors = b"", []
        if not message:
            raise ChildKilled(_wait(self._pid))
        kind, *values = marshal.loads(message)
        if kind == "error":
            text, hint, code = values
            raise ChildError(text, hint, code, reported=False, excerpt="")
        if kind == "system":
            raise OSError(*values)
        (descriptor,) = descriptors
        os.set_inheritable(descriptor, False)
        return descriptor


def _wait(pid: int) -> int:
    try:
        return os.waitpid(pid, 0)[1]
    except ChildProcessError:
        return 0


def _hand_out(path: str, requests: socket.socket) -> None:
    kind = enter_user_namespace().kind
    with Store.open(path, create=False, writable=True) as store:
        store.owners_observable = kind != SINGLE
        while request := requests.recv(_MAX_MESSAGE):
            answer: tuple[Any, ...]
            try:
                opened = store.objects.open(Entry(*marshal.loads(request)))
            except EnvbuildError as error:
                answer = ("error", error.message, error.hint, error.exit_code)
            except OSError as error:
                answer = ("system", error.errno or 0, error.strerror or "")
            else:
                socket.send_fds(requests, [marshal.dumps(("content",))], [opened])
                os.close(opened)
                continue
            requests.send(marshal.dumps(answer))
