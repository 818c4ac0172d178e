"""The helper process: forked once from the main process while that has a single thread, it starts the sandboxes.

Forking a small process without threads is safe and quick, whatever the main process has grown to. For each run
the main process hands over three standard descriptors and one end of a socket, on which process 1 of the sandbox
answers. When the last holder of that end is gone, so is every process of the sandbox.
"""

from __future__ import annotations

import os
import time
from _thread import allocate_lock

from envbuild.contexts import contextmanager
from envbuild.errors import MachineLacks, fields
from envbuild.linux import signals as signal
from envbuild.linux.sockets import AF_UNIX, SOCK_STREAM, socket, socketpair
from envbuild.sandbox.await_result import await_result
from envbuild.sandbox.exec_client import Session
from envbuild.sandbox.idmapped_mounts import send_for_run
from envbuild.sandbox.protocol import (
    ANSWERS,
    HELPER_ANSWERS,
    Failed,
    KillAll,
    Process,
    ServeSteps,
    Signal,
    Start,
)
from envbuild.sandbox.spec import FailedInside, Outcome, Request, SandboxFailure
from envbuild.sandbox.stdio import give_to_sandbox
from envbuild.sandbox.user_namespace import SHIFTED, IdMap
from envbuild.sandbox.wire import receive, send

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Self

    from envbuild.sandbox.protocol import Order


@fields
class HelperGone(SandboxFailure):
    """The process that starts sandboxes has ended."""

    def text(self) -> tuple[str, str]:
        return "the process that starts sandboxes is gone", "run the same command again"


@fields
class HelperLacks(MachineLacks):
    """What the process that starts sandboxes says that this machine can't do."""

    reason: str
    mend: str

    def text(self) -> tuple[str, str]:
        return self.reason, self.mend


class Helper:
    """The main process's side."""

    def __init__(self, control: socket, pid: int, ids: IdMap) -> None:
        self.ids = ids
        self._control = control
        self._pid = pid
        self._sending = allocate_lock()
        self._next = 0
        self._active = 0
        self._namespace: int | None = None

    @classmethod
    def start(cls, ids: IdMap, *, once: bool = False, steps: bool = False) -> Helper:
        """Fork the helper. The process must have one thread and be in its user namespace already.

        With `once` no more than one command is expected, so that no sandbox is made ahead of a second one; with `steps`
        a step server is made ahead instead (serve_steps).
        """
        ours, theirs = socketpair(AF_UNIX, SOCK_STREAM)
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            try:
                # Only here: the main process has no use for it, and goes on meanwhile.
                from envbuild.sandbox.helper_process import serve

                serve(theirs, ids, parent, ahead=not once, steps=steps)
            finally:
                os._exit(0)
        theirs.close()
        return cls(ours, pid, ids)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the helper and every sandbox that still runs, and wait until those are gone."""
        if self._namespace is not None:
            os.close(self._namespace)
            self._namespace = None
        if self._pid:
            self._control.close()
            # An idle helper needs a millisecond to go, which nobody has to wait for.
            os.waitpid(self._pid, 0 if self._active else os.WNOHANG)
            self._pid = 0

    def run(
        self,
        request: Request,
        *,
        stdin: int,
        output: int,
        errors: int | None = None,
        terminal: Callable[[int], None] | None = None,
        started: Callable[[int], None] | None = None,
        session: Session | None = None,
        made: Callable[[int], None] | None = None,
        running: Callable[[], None] | None = None,
        listener: Callable[[tuple[int, ...]], None] | None = None,
    ) -> Outcome:
        """Run one command and return when it and all that it started is gone. Several threads may call it.

        `output` gets what it prints, and its errors too unless `errors` is given. `terminal` is called with the
        master side of the command's terminal, `started` with the number of the run for `signal`.
        `session` starts commands beside it, if the request says `serve`. `made` is called with the pid of the sandbox's
        process 1, before anything is run in it, `running` when the command of a request with `serve` was executed,
        `listener` with the sockets that listen inside, if the request is `proxied`.
        Raises SandboxFailure where the command could not be started.
        """
        began = time.monotonic()
        give_to_sandbox((stdin, output, output if errors is None else errors), self.ids)
        ours, theirs = socketpair(AF_UNIX, SOCK_STREAM)
        with ours:
            with theirs, self._sending:
                self._know_namespace()
                self._active += 1
                number = self._number()
                order = Start(number, request.network, made is not None, request.timeout or 0.0)
                descriptors = (stdin, output, output if errors is None else errors, theirs.fileno())
                self._send(order, descriptors)
            failure = _wait_until_made(ours, made) if made is not None else None
            failure = send_for_run(ours, request, self._namespace) or failure
            if session is not None:
                session.begin(ours, self.ids)
            if started is not None:
                started(number)
            try:
                outcome = await_result(
                    ours,
                    failure,
                    terminal,
                    began,
                    session,
                    running,
                    lambda: self.signal(number, signal.SIGKILL),
                    listener,
                )
            finally:
                if session is not None:
                    session.end()
        with self._sending:
            self._active -= 1
        return outcome

    def serve_steps(self) -> tuple[int, socket]:
        """Start a step server; return its number, for `signal`, and the socket on which steps are asked for."""
        ours, theirs = socketpair(AF_UNIX, SOCK_STREAM)
        with theirs, self._sending:
            self._know_namespace()
            number = self._number()
            self._send(ServeSteps(number), (theirs.fileno(),))
        return number, ours

    @property
    def namespace(self) -> int | None:
        """A user namespace with the sandboxes' ids, where those are shifted."""
        return self._namespace

    @contextmanager
    def active(self) -> Iterator[None]:
        """Count a sandbox that runs meanwhile: `close` waits until it is gone."""
        with self._sending:
            self._active += 1
        yield
        with self._sending:
            self._active -= 1

    def signal(self, run: int, number: int) -> None:
        """Send a signal to the command of a run."""
        with self._sending:
            self._send(Signal(run, number))

    def cancel_all(self) -> None:
        """End all runs at once; each returns as if it had been killed."""
        with self._sending:
            self._send(KillAll())

    def _number(self) -> int:
        self._next += 1
        return self._next

    def _know_namespace(self) -> None:
        if self.ids.kind == SHIFTED and self._namespace is None:
            self._namespace = self._receive_namespace()

    def _receive_namespace(self) -> int:
        """Return the user namespace that the helper shows at its beginning, when it has made the first sandbox."""
        received = receive(self._control, HELPER_ANSWERS)
        if received is None:
            raise HelperGone
        answer, descriptors = received
        if isinstance(answer, Failed):
            raise HelperLacks(answer.reason, answer.hint)
        return descriptors[0]

    def _send(self, order: Order, descriptors: tuple[int, ...] = ()) -> None:
        try:
            send(self._control, order, descriptors)
        except OSError as error:
            raise HelperGone from error


def _wait_until_made(link: socket, made: Callable[[int], None]) -> SandboxFailure | None:
    """Tell `made` which process the new sandbox's first one is; return why there is none, if it could not be made."""
    received = receive(link, ANSWERS)
    match received[0] if received is not None else None:
        case Process(pid):
            made(pid)
        case Failed(reason, hint):
            return FailedInside(reason, hint)
    return None
