"""What comes back from a sandbox: read by the thread that waits for its command.

Process 1 is inside the sandbox. Whatever it says is held against the shapes of messages.py first.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from socket import socket

from envbuild.linux import signals as signal
from envbuild.sandbox.codec import BadMessage
from envbuild.sandbox.exec_client import Session
from envbuild.sandbox.failure import SandboxFailure
from envbuild.sandbox.messages import ANSWERS, ENTERED, RUNNING, fits
from envbuild.sandbox.spec import Outcome
from envbuild.sandbox.wire import Message, close_all, receive

LARGEST_STATUS = 255


class SandboxBug(RuntimeError):
    """Something in a sandbox's own code went wrong; the text is its traceback."""


def answers(
    link: socket,
    failure: SandboxFailure | None,
    terminal: Callable[[int], None] | None,
    began: float,
    session: Session | None,
    running: Callable[[], None] | None,
    end: Callable[[], None] = lambda: None,
) -> Outcome:
    """Takes all that a sandbox's process 1 answers on `link`; how its command ended.

    `failure` is what is known to be wrong already, `began` when it was asked for (time.monotonic); `terminal` gets the
    master side of its terminal, `session` what belongs to commands beside, `running` is called when the command was
    executed. `end` ends the sandbox: it is called if an answer makes no sense. Raises SandboxFailure.
    """
    outcome: Outcome | None = None
    timed_out = False
    try:
        while (message := _answer(link)) is not None:
            kind, payload, descriptors = message
            if kind == "terminal":
                if terminal is None or not descriptors or not os.isatty(descriptors[0]):
                    close_all(descriptors)
                    continue
                given, terminal = terminal, None  # once
                given(descriptors[0])
            elif kind == "ended":
                status, number, made = payload
                outcome = Outcome(status, number, False, 0.0, made)
            elif kind == "failed":
                failure = SandboxFailure(payload[0], payload[1])
            elif kind == "bug":
                raise SandboxBug(payload[0])
            elif kind == "timed out":
                timed_out = True
            elif kind == RUNNING:
                if running is not None:
                    told, running = running, None  # once
                    told()
            elif session is not None:
                session.take(kind, payload, descriptors)
            else:
                close_all(descriptors)
    except BadMessage as error:
        failure = error
        end()
        _turn_away(link, session)
    seconds = time.monotonic() - began
    if failure is not None:
        raise failure
    if outcome is None or timed_out:
        # Ended from outside, with no word of its own.
        outcome = Outcome(128 + signal.SIGKILL, signal.SIGKILL, timed_out)
    return outcome.replace(seconds=seconds)


def _answer(link: socket) -> Message | None:
    """The next answer, which is one by its form. Raises BadMessage."""
    message = receive(link)
    if message is None:
        return None
    kind, payload, descriptors = message
    shape, count = ANSWERS.get(kind, ((), 0))
    known = kind in ANSWERS and fits(payload, shape)
    if known and kind in ("ended", ENTERED):
        status, number = payload[:2] if kind == "ended" else payload[1:]
        known = 0 <= status <= LARGEST_STATUS and 0 <= number <= LARGEST_STATUS
    if not known or len(descriptors) > count:
        close_all(descriptors)
        raise BadMessage(f"'{kind[:40]}' does not come so")
    return message


def _turn_away(link: socket, session: Session | None) -> None:
    """Listens no more to a sandbox, and waits until all of it is gone: a command of it is not over before."""
    if session is not None:
        session.end()
    try:
        while link.recv(1 << 16):
            pass
    except OSError:
        pass
