"""The part of a build that needs the machine: its namespace, and the helper that runs sandboxes.

A build whose steps are all cached never makes one. It has to be made before the first thread starts, as a process
with threads can't enter a user namespace.
"""

from __future__ import annotations

import os
from _thread import start_new_thread

from envbuild.build.helper_ahead import StartedHelper
from envbuild.instances.records import Instances
from envbuild.linux import signals as signal
from envbuild.linux.latch import Latch
from envbuild.sandbox.helper_client import Helper
from envbuild.sandbox.spec import Outcome, Request
from envbuild.sandbox.step_client import StepRunner
from envbuild.sandbox.user_namespace import IdMap
from envbuild.sandbox.wire import close_all
from envbuild.store.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from envbuild.sandbox.exec_client import Session

_CHUNK = 1 << 16


class Worker:
    """Runs commands for one build. Use it as a context manager: leaving it ends all that still runs."""

    def __init__(self, ids: IdMap, helper: Helper) -> None:
        self.ids = ids
        self._helper = helper
        self._steps = StepRunner(helper)

    @classmethod
    def start(cls, store: Store, started: StartedHelper) -> Worker:
        """Begin to run commands with a helper, and remove what dead builds left in the store."""
        store.tidy()
        Instances.of(store.path).tidy()
        return cls(started.ids, started.helper)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._steps.close()
        self._helper.close()

    def run(
        self,
        request: Request,
        sink: Callable[[bytes], None],
        listener: Callable[[tuple[int, ...], Callable[[], None]], None] | None = None,
        session: Session | None = None,
    ) -> Outcome:
        """Run one command without input; `sink` gets its output and errors as they come, from another thread where the
        command has a network.

        `listener` gets the sockets that listen inside, if the request is `proxied`, and what ends the command;
        `session` connects the network of one that is `attached`. Returns when the command has ended and all its output
        is in the sink.
        """
        if self._steps.takes(request):
            return self._steps.run(request, sink)
        reading, writing = os.pipe2(os.O_CLOEXEC)
        nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        failures: list[BaseException] = []
        numbers: list[int] = []

        def end() -> None:
            self._helper.signal(numbers[0], signal.SIGKILL)

        def listen(descriptors: tuple[int, ...]) -> None:
            if listener is None:
                close_all(descriptors)
                return
            try:
                listener(descriptors, end)
            except BaseException as failure:
                failures.append(failure)
                end()

        def drain() -> None:
            try:
                while data := os.read(reading, _CHUNK):
                    sink(data)
            except BaseException as failure:
                failures.append(failure)
            finally:
                drained.set()

        drained = Latch()
        start_new_thread(drain, ())
        try:
            outcome = self._helper.run(
                request, stdin=nothing, output=writing, started=numbers.append, listener=listen, session=session
            )
        finally:
            # The sandbox is gone with all its processes; ours is the last writing end.
            os.close(writing)
            os.close(nothing)
            drained.wait()
            os.close(reading)
        if failures:
            raise failures[0]
        return outcome

    def cancel(self) -> None:
        """End all that runs now, for a build that is interrupted."""
        self._helper.cancel_all()
