"""The health of an instance: a command that is run in it at intervals."""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable

from envbuild.errors import EnvbuildError
from envbuild.instances.config import Health
from envbuild.instances.record import HEALTHY, STARTING, UNHEALTHY
from envbuild.linux import signals as signal
from envbuild.record import Record
from envbuild.sandbox.exec_client import CommandEnd, Session
from envbuild.sandbox.spec import ExecCommand

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

_MAX_OUTPUT = 4096
_CHUNK = 1 << 16


_NOT_EXECUTED = (126, 127)
"""How a shell ends whose last command can't be executed, or is not there."""


class Answer(Record):
    """What a check came to. With `hopeless` it could not be run at all: asking again will not help."""

    well: bool
    printed: str
    hopeless: bool = False


class HealthMonitor:
    """Checks one instance in a thread of its own, over all restarts of its command."""

    def __init__(
        self, check: Health, entry: ExecCommand, session: Session, changed: Callable[[str, str], None]
    ) -> None:
        """`entry` is the command of the check; `changed` is called with the new state and what the check printed."""
        self._check = check
        self._entry = entry
        self._session = session
        self._changed = changed
        self._over = threading.Event()
        self._again = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="health", daemon=True)

    def start(self) -> None:
        """Begin to check."""
        self._thread.start()

    def begin(self) -> None:
        """The instance's command was started, maybe again: it is `starting` until a check tells otherwise."""
        self._again.set()
        self._changed(STARTING, "")

    def end(self) -> None:
        """End the checks."""
        self._over.set()

    def _watch(self) -> None:
        state, failures, began, printed = STARTING, 0, time.monotonic(), ""
        pause = self._first_pause()
        while not self._over.wait(pause):
            if self._again.is_set():
                self._again.clear()
                state, failures, began, printed, pause = STARTING, 0, time.monotonic(), "", self._first_pause()
                continue
            answer = self._ask()
            well = answer.well
            in_start_period = time.monotonic() - began < self._check.start_period
            if well or state != STARTING:
                pause = self._check.every
            elif not self._check.start_interval:
                pause = min(pause * 2, self._check.every)
            elif not in_start_period:
                pause = self._check.every
            if well:
                failures = 0
            elif not in_start_period and (pause >= self._check.every or state != STARTING):
                failures += 1
            gone = answer.hopeless and not in_start_period
            next_state = HEALTHY if well else UNHEALTHY if gone or failures >= self._check.retries else state
            # Whoever waits for it to be healthy is shown what it waits for.
            news = next_state != state or (next_state == STARTING and answer.printed != printed)
            if news and not self._again.is_set():
                state, printed = next_state, answer.printed
                self._changed(state, printed)

    def _first_pause(self) -> float:
        # Who waits for a service to be well should not wait for a whole interval: at first it is asked more often.
        if self._check.start_interval and self._check.start_period:
            return self._check.start_interval
        return min(0.2, self._check.every)

    def _ask(self) -> Answer:
        """Tell whether the check succeeded in time, and what it printed: the beginning of it, however much that is."""
        try:
            with _Output() as output:
                return self._run(output)
        except (EnvbuildError, OSError) as error:
            return Answer(False, str(error))

    def _run(self, output: _Output) -> Answer:
        nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        answer: list[CommandEnd] = []

        def tell(how: CommandEnd) -> None:
            answer.append(how)
            output.end()

        try:
            number = self._session.enter(self._entry, (nothing, output.writing, output.writing), tell)
        finally:
            output.close_writing()
            os.close(nothing)
        printed = output.read(self._check.timeout)
        if not answer:
            self._session.signal(number, int(signal.SIGKILL))
            return Answer(False, f"no answer in {self._check.timeout:g} s {printed}".strip())
        if answer[0].failure is not None:
            return Answer(False, answer[0].failure.message, hopeless=True)
        status = answer[0].status
        return Answer(status == 0, printed.strip(), hopeless=status in _NOT_EXECUTED)


class _Output:
    """What a check prints: read as it comes, so that the check never waits for a reader, and kept up to a limit."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._over = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        try:
            self._reading, self.writing = os.pipe2(os.O_CLOEXEC)
        except OSError:
            os.close(self._over)
            raise
        os.set_blocking(self._reading, False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close_writing()
        os.close(self._reading)
        with self._lock:
            os.close(self._over)
            self._over = -1

    def close_writing(self) -> None:
        """Leave the writing end to the check."""
        if self.writing >= 0:
            os.close(self.writing)
            self.writing = -1

    def end(self) -> None:
        """The check is over; another thread says so, maybe when nobody waits for it any more."""
        with self._lock:
            if self._over >= 0:
                os.eventfd_write(self._over, 1)

    def read(self, seconds: float) -> str:
        """Return when the check is over, or so many seconds have passed: the beginning of what was printed."""
        kept = b""
        latest = time.monotonic() + seconds
        poller = select.poll()
        for descriptor in (self._reading, self._over):
            poller.register(descriptor, select.POLLIN)
        over = False
        while not over and (left := latest - time.monotonic()) > 0:
            for descriptor, _ in poller.poll(left * 1000):
                over = over or descriptor == self._over
                if descriptor == self._reading:
                    chunk = self._chunk()
                    kept += chunk[: _MAX_OUTPUT - len(kept)]
                    if not chunk:
                        poller.unregister(descriptor)
        # What it left in the pipe; something that it started may print without end.
        kept += self._chunk()[: _MAX_OUTPUT - len(kept)]
        return kept.decode(errors="replace")

    def _chunk(self) -> bytes:
        try:
            return os.read(self._reading, _CHUNK)
        except BlockingIOError:
            return b""
