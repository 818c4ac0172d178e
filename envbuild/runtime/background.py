"""Starts the supervisor of an instance as a process that outlives the terminal and whoever started it.

The process is forked before the store is opened: it stays small, and makes a sandbox while its parent finds out what
is to be run in it.
"""

from __future__ import annotations

import gc
import os
import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from socket import AF_UNIX, SOCK_STREAM, socket, socketpair

from envbuild.errors import EnvbuildError, WorkFailed
from envbuild.runtime.settings import from_plain, to_plain
from envbuild.runtime.streams import LogStreams
from envbuild.runtime.supervisor import Supervisor, Task
from envbuild.sandbox import syscalls
from envbuild.sandbox.helper import Helper
from envbuild.sandbox.ids import IdMap
from envbuild.sandbox.wire import receive, receive_request, send, send_request
from envbuild.store.instances import EXITED, State, write_state

LOG, TRACE = "log", "supervisor"
"""Files in an instance's folder: what it printed, and where its supervisor's own faults end up."""


class StartFailed(WorkFailed):
    """The command of an instance could not be started."""


class Background:
    """A supervisor that waits for its task, as the process that started it sees it."""

    def __init__(self, link: socket) -> None:
        self._link = link

    def start(self, task: Task, lock: int) -> tuple[str, ...]:
        """Has the instance run; returns when its command was started, with what the user is to be warned of.

        `lock` is the instance's, which the supervisor holds from then on. Raises StartFailed with the reason.
        """
        try:
            send(self._link, "task", (task.identity, task.folder, to_plain(task.settings)), (lock,))
            send_request(self._link, task.request)
            answer = receive(self._link)
        except OSError:
            answer = None
        if answer is None:
            raise StartFailed("the instance's supervisor ended at once", f"see {task.folder}/{TRACE}")
        kind, payload, _ = answer
        if kind != "started":
            raise StartFailed(str(payload[0]), str(payload[1]))
        return tuple(map(str, payload))


@contextmanager
def in_background(ids: IdMap) -> Iterator[Background]:
    """A supervisor in waiting, in the user namespace of this process, which has one thread yet. It goes if it is given
    no task."""
    ours, theirs = socketpair(AF_UNIX, SOCK_STREAM)
    child = os.fork()
    if child == 0:
        # Twice: the one between is gone at once, and the supervisor is nobody's child and leads no session that a
        # terminal could end.
        try:
            os.setsid()
            if os.fork() == 0:
                _become(theirs, ids)
        finally:
            os._exit(0)
    theirs.close()
    os.waitpid(child, 0)
    with ours:
        yield Background(ours)


def _become(link: socket, ids: IdMap) -> None:
    try:
        os.chdir("/")
        os.umask(0o022)
        # Nothing of whoever started it stays open, but for the socket on which its task comes.
        os.dup2(link.detach(), 3, inheritable=False)
        syscalls.close_range(4, on_exec=False)
        link = socket(fileno=3)
        nothing = os.open(os.devnull, os.O_RDWR)
        for target in (0, 1, 2):
            os.dup2(nothing, target)
        os.close(nothing)
        gc.freeze()
        with Helper.start(ids, once=True) as helper:
            _serve(link, helper)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


def _serve(link: socket, helper: Helper) -> None:
    message = receive(link)
    if message is None:
        return  # there is nothing to run after all
    _, (identity, folder, plain), (lock,) = message
    errors = os.open(f"{folder}/{TRACE}", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    os.dup2(errors, 2)
    os.close(errors)
    task = Task(identity, folder, from_plain(plain), receive_request(link))

    def tell(notes: tuple[str, ...]) -> None:
        _answer(link, "started", notes)

    try:
        supervisor = Supervisor(task, helper, LogStreams(f"{folder}/{LOG}"), tell)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: supervisor.stop())
        supervisor.run()
    except EnvbuildError as error:
        write_state(folder, State(EXITED, code=127, error=error.message))
        _answer(link, "failed", (error.message, error.hint))
    finally:
        os.close(lock)


def _answer(link: socket, kind: str, payload: tuple[str, ...]) -> None:
    try:
        send(link, kind, payload)
    except OSError:
        pass  # who started it is gone; it goes on
    link.close()
