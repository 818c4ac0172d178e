"""Whether an instance is well: a command that is run in it now and then."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

from envbuild.errors import EnvbuildError
from envbuild.runtime.settings import Health
from envbuild.sandbox.request import Entry
from envbuild.sandbox.session import Ended, Session

STARTING, HEALTHY, UNHEALTHY = "starting", "healthy", "unhealthy"
_MOST_OUTPUT = 4096


class HealthMonitor:
    """Checks one instance in a thread of its own, over all restarts of its command."""

    def __init__(self, check: Health, entry: Entry, session: Session, changed: Callable[[str, str], None]) -> None:
        """`entry` is the command of the check; `changed` is called with the new state and what the check printed."""
        self._check = check
        self._entry = entry
        self._session = session
        self._changed = changed
        self._over = threading.Event()
        self._again = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="health", daemon=True)

    def start(self) -> None:
        """Begins to check."""
        self._thread.start()

    def begin(self) -> None:
        """The instance's command was started, maybe again: it is `starting` until a check tells otherwise."""
        self._again.set()
        self._changed(STARTING, "")

    def end(self) -> None:
        """No more checks."""
        self._over.set()

    def _watch(self) -> None:
        state, failures, began = STARTING, 0, time.monotonic()
        # Who waits for a service to be well should not wait for a whole interval: at first it is asked more often.
        pause = min(0.2, self._check.every)
        while not self._over.wait(pause):
            if self._again.is_set():
                self._again.clear()
                state, failures, began, pause = STARTING, 0, time.monotonic(), min(0.2, self._check.every)
                continue
            well, printed = self._ask()
            pause = min(pause * 2, self._check.every) if state == STARTING and not well else self._check.every
            if well:
                failures = 0
            elif time.monotonic() - began >= self._check.start_period and (
                pause >= self._check.every or state != STARTING
            ):
                failures += 1
            found = HEALTHY if well else UNHEALTHY if failures >= self._check.retries else state
            if found != state and not self._again.is_set():
                state = found
                self._changed(state, printed)

    def _ask(self) -> tuple[bool, str]:
        """Whether the check succeeded in time, and what it printed."""
        reading, writing = os.pipe2(os.O_CLOEXEC)
        nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        ended = threading.Event()
        answer: list[Ended] = []

        def tell(how: Ended) -> None:
            answer.append(how)
            ended.set()

        try:
            number = self._session.enter(self._entry, (nothing, writing, writing), tell)
        except (EnvbuildError, OSError) as error:
            os.close(reading)
            return False, str(error)
        finally:
            os.close(writing)
            os.close(nothing)
        os.set_blocking(reading, False)
        late = not ended.wait(self._check.timeout)
        if late:
            self._session.signal(number, int(signal.SIGKILL))
        try:
            printed = os.read(reading, _MOST_OUTPUT).decode(errors="replace")
        except BlockingIOError:
            printed = ""
        os.close(reading)
        if late:
            return False, f"no answer in {self._check.timeout:g} s {printed}".strip()
        if answer[0].failure is not None:
            return False, answer[0].failure.message
        return answer[0].status == 0, printed.strip()
