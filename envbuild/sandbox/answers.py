"""What comes back from a sandbox: read by the thread that waits for its command."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from socket import socket

from envbuild.sandbox.failure import SandboxFailure
from envbuild.sandbox.messages import RUNNING
from envbuild.sandbox.request import Outcome
from envbuild.sandbox.session import Session
from envbuild.sandbox.wire import receive


class SandboxBug(RuntimeError):
    """Something in a sandbox's own code went wrong; the text is its traceback."""


def answers(
    link: socket,
    failure: SandboxFailure | None,
    terminal: Callable[[int], None] | None,
    began: float,
    session: Session | None,
    running: Callable[[], None] | None,
) -> Outcome:
    """Takes all that a sandbox's process 1 answers on `link`; how its command ended.

    `failure` is what is known to be wrong already, `began` when it was asked for (time.monotonic); `terminal` gets the
    master side of its terminal, `session` what belongs to commands beside, `running` is called when the command was
    executed. Raises SandboxFailure.
    """
    outcome: Outcome | None = None
    timed_out = False
    while (message := receive(link)) is not None:
        kind, payload, descriptors = message
        if kind == "terminal" and terminal is not None:
            terminal(descriptors[0])
        elif kind == "ended":
            status, number, made = payload
            assert isinstance(status, int)
            assert isinstance(number, int)
            assert isinstance(made, tuple)
            outcome = Outcome(status, number, False, 0.0, made)
        elif kind == "failed":
            failure = SandboxFailure(str(payload[0]), str(payload[1]))
        elif kind == "bug":
            raise SandboxBug(str(payload[0]))
        elif kind == "timed out":
            timed_out = True
        elif kind == RUNNING:
            if running is not None:
                running()
        elif session is not None:
            session.take(kind, payload, descriptors)
    seconds = time.monotonic() - began
    if failure is not None:
        raise failure
    if outcome is None or timed_out:
        # Ended from outside, with no word of its own.
        outcome = Outcome(128 + signal.SIGKILL, signal.SIGKILL, timed_out)
    return outcome.replace(seconds=seconds)
