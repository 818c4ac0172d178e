"""Runs a build's steps on step servers (step_server.py): one for each step that runs at a time, each for many steps."""

from __future__ import annotations

import os
import select
import time
from _thread import allocate_lock

from envbuild.linux import signals as signal
from envbuild.linux.sockets import socket
from envbuild.record import assert_never
from envbuild.sandbox.await_result import SandboxBug
from envbuild.sandbox.child import launch_problem, not_started
from envbuild.sandbox.helper_client import Helper
from envbuild.sandbox.idmapped_mounts import shifted_sources
from envbuild.sandbox.protocol import MAX_RUN_DESCRIPTORS, STEP_ANSWERS, Bug, Failed, Run, StepStarted, Traced
from envbuild.sandbox.spec import FailedInside, Outcome, Request, SandboxFailure
from envbuild.sandbox.stdio import give_to_sandbox
from envbuild.sandbox.wire import receive, send

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from envbuild.trace.observed import Observed


_CHUNK = 1 << 16
_FAILED = 0xFF
"""Begins what the launcher says of an order that failed."""


class _Server:
    """A step server, as the main process knows it."""

    def __init__(self, number: int, link: socket) -> None:
        self.number = number
        self.link = link


class StepRunner:
    """Runs the steps of one build that need no more than a tree of their own. Several threads may use it."""

    def __init__(self, helper: Helper) -> None:
        self._helper = helper
        self._idle: list[_Server] = []
        self._taking = allocate_lock()

    @staticmethod
    def takes(request: Request) -> bool:
        """Tell whether a request can be run here; all others are the helper's."""
        special = request.network or request.terminal or request.serve or request.attached or request.unfiltered
        return not (special or request.proxied) and len(request.binds) < MAX_RUN_DESCRIPTORS - 10

    def close(self) -> None:
        """End the step servers that wait for steps."""
        with self._taking:
            for server in self._idle:
                server.link.close()
            self._idle.clear()

    def run(self, request: Request, sink: Callable[[bytes], None]) -> Outcome:
        """Run one command without input; `sink` gets its output and errors as they come.

        Returns when the command and all that it started is gone. Raises SandboxFailure where it could not be started.
        """
        with self._helper.active():
            server = self._take()
            run = _Run(self._helper, server, request, sink)
            try:
                outcome = run.run()
            except BaseException:
                self._end(server)
                raise
            if run.is_over:
                with self._taking:
                    self._idle.append(server)
            else:
                self._end(server)
            return outcome

    def _take(self) -> _Server:
        with self._taking:
            if self._idle:
                return self._idle.pop()
        return _Server(*self._helper.serve_steps())

    def _end(self, server: _Server) -> None:
        """End a server with all that runs on it, and wait until it is gone."""
        try:
            self._helper.signal(server.number, signal.SIGKILL)
            while server.link.recv(_CHUNK):
                pass
        except OSError:
            pass
        server.link.close()


class _Run:
    """One command on one server."""

    def __init__(self, helper: Helper, server: _Server, request: Request, sink: Callable[[bytes], None]) -> None:
        self._helper = helper
        self._server = server
        self._request = request
        self._sink = sink
        self._told = b""
        self._status: int | None = None
        self._chdir = -1
        self._result: socket | None = None
        self._made: tuple[str, ...] | None = None
        self._timed_out = False
        self._observed: Observed | None = None
        self.is_over = False
        """Whether the command has ended by itself, and its server is good for the next one."""

    def run(self) -> Outcome:
        began = time.monotonic()
        reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            os.set_blocking(writing, True)
            give_to_sandbox((writing,), self._helper.ids)
            self._ask(writing)
            os.close(writing)
            writing = -1
            deadline = None if self._request.timeout is None else began + self._request.timeout
            self._wait(reading, deadline)
        finally:
            if self._result is not None:
                self._result.close()
            os.close(reading)
            if writing >= 0:
                os.close(writing)
        seconds = time.monotonic() - began
        self._raise_problem()
        if self._status is None or self._made is None:
            # Ended from outside, with no word of its own.
            return Outcome(128 + signal.SIGKILL, signal.SIGKILL, self._timed_out, seconds)
        self.is_over = True
        ended = os.waitstatus_to_exitcode(self._status)
        code, number = (ended, 0) if ended >= 0 else (128 - ended, -ended)
        return Outcome(code, number, False, seconds, self._made, observed=self._observed)

    def _ask(self, output: int) -> None:
        """Send the request, with all that goes with it."""
        link, namespace = self._server.link, self._helper.namespace
        try:
            if namespace is None:
                send(link, Run(self._request), (output,))
                return
            with shifted_sources(self._request, namespace) as sources:
                send(link, Run(self._request), (output, *sources))
        except SandboxFailure:
            raise
        except OSError:
            pass  # it is gone; why comes as an answer, if it is known

    def _wait(self, output: int, deadline: float | None) -> None:
        """Take what comes until the step is over: the command's output, how it ended, and what the server says."""
        link = self._server.link
        poller = select.poll()
        for descriptor in (output, link.fileno()):
            poller.register(descriptor, select.POLLIN)
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000 + 1
            events = poller.poll(left)
            if not events:
                self._timed_out, deadline = True, None
                self._helper.signal(self._server.number, signal.SIGKILL)
            for descriptor, _ in events:
                if descriptor == output:
                    if not self._drain(output, once=True):
                        poller.unregister(output)
                elif descriptor == link.fileno():
                    if not self._take_answer(link):
                        self._made = None
                        self._drain(output)
                        return  # the server is gone, and so is all that it ran
                    if self._result is not None:
                        poller.register(self._result.fileno(), select.POLLIN)
                elif self._result is not None and not self._take_result(self._result):
                    self._drain(output)
                    if self._request.traced:
                        self._take_trace(link)
                    return

    def _take_trace(self, link: socket) -> None:
        """Take what the server says last of a traced step. Nothing runs any more that could hold it up."""
        while self._observed is None:
            if not self._take_answer(link):
                self._made = None
                return

    def _drain(self, output: int, *, once: bool = False) -> bool:
        """Take what the command printed, as far as it is there; False at the end of it."""
        try:
            while data := os.read(output, _CHUNK):
                self._sink(data)
                if once:
                    return True
        except BlockingIOError:
            return True
        return False

    def _take_result(self, result: socket) -> bool:
        """Take one word of the step's process 1; False after the last."""
        word = result.recv(16)
        if len(word) == 4:
            self._status = int.from_bytes(word, "little")
            return False
        self._told += word
        return bool(word)

    def _take_answer(self, link: socket) -> bool:
        """Take one word of the server; False when it is gone. Raises what it says is wrong."""
        received = receive(link, STEP_ANSWERS)
        if received is None:
            return False
        answer, descriptors = received
        match answer:
            case StepStarted(made, chdir):
                if not descriptors:
                    raise SandboxBug("a step's result has no socket")
                self._made, self._chdir = made, chdir
                self._result = socket(fileno=descriptors[0])
            case Traced():
                from envbuild.sandbox.step_tracer import received as received_trace

                self._observed = received_trace(answer, descriptors)
            case Failed(reason, hint):
                raise FailedInside(reason, hint)
            case Bug(traceback):
                raise SandboxBug(traceback)
            case _:
                assert_never(answer)
        return True

    def _raise_problem(self) -> None:
        """Raise SandboxFailure if the command was not executed."""
        if self._told[:1] == bytes((_FAILED,)) and len(self._told) > 2:
            place, number = self._told[1:3]
            name = self._request.directory if place == self._chdir else self._request.argv[0]
            raise not_started(self._request, OSError(number, os.strerror(number), name))
        problem = launch_problem(self._told, self._request)
        if problem is not None:
            raise not_started(self._request, problem)
