"""Reads what comes back from a sandbox, in the thread that waits for its command."""

from __future__ import annotations

import os
import time

from envbuild.linux import signals as signal
from envbuild.linux.sockets import AF_INET, SOCK_STREAM
from envbuild.record import assert_never
from envbuild.sandbox.codec import BadMessage
from envbuild.sandbox.exec_client import Session, socket_family
from envbuild.sandbox.protocol import (
    ANSWERS,
    Bug,
    Ended,
    EnteredEnded,
    EnteredFailed,
    EnteredTerminal,
    Failed,
    Listener,
    Network,
    Paused,
    Process,
    Root,
    Running,
    Sockets,
    Terminal,
    TimedOut,
)
from envbuild.sandbox.spec import Outcome, SandboxFailure, failed_inside
from envbuild.sandbox.wire import close_all, receive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from envbuild.linux.sockets import socket


class SandboxBug(RuntimeError):
    """Something in a sandbox's own code went wrong; the text is its traceback."""


def await_result(
    link: socket,
    failure: SandboxFailure | None,
    terminal: Callable[[int], None] | None,
    began: float,
    session: Session | None,
    running: Callable[[], None] | None,
    end: Callable[[], None] = lambda: None,
    listener: Callable[[tuple[int, ...]], None] | None = None,
) -> Outcome:
    """Take all that a sandbox answers on `link`, and return how its command ended.

    `failure` is what is known to be wrong already, `began` when it was asked for (time.monotonic); `terminal` gets the
    master side of its terminal, `session` what belongs to commands beside, `running` is called when the command was
    executed. `end` ends the sandbox: it is called if an answer makes no sense. `listener` gets the sockets of a proxied
    one. Raises SandboxFailure.
    """
    outcome: Outcome | None = None
    timed_out = False
    try:
        while (received := receive(link, ANSWERS)) is not None:
            answer, descriptors = received
            match answer:
                case Terminal():
                    if terminal is None or not descriptors or not os.isatty(descriptors[0]):
                        close_all(descriptors)
                        continue
                    take_terminal, terminal = terminal, None  # once
                    take_terminal(descriptors[0])
                case Listener():
                    families = {socket_family(descriptor, SOCK_STREAM) for descriptor in descriptors}
                    if listener is None or families != {AF_INET}:
                        close_all(descriptors)
                        continue
                    take_listener, listener = listener, None  # once
                    take_listener(descriptors)
                case Ended(status, number, made):
                    outcome = Outcome(status, number, made=made)
                case Failed(reason, hint, code):
                    failure = failed_inside(reason, hint, code)
                case Bug(traceback):
                    raise SandboxBug(traceback)
                case TimedOut():
                    timed_out = True
                case Running():
                    if running is not None:
                        report_running, running = running, None  # once
                        report_running()
                case Process():
                    pass  # whoever asked for it has read it before
                case EnteredTerminal() | EnteredEnded() | EnteredFailed() | Sockets() | Paused() | Network() | Root():
                    if session is not None:
                        session.take(answer, descriptors)
                    else:
                        close_all(descriptors)
                case _:
                    assert_never(answer)
    except BadMessage as error:
        failure = error
        end()
        _wait_for_end(link, session)
    seconds = time.monotonic() - began
    if failure is not None:
        raise failure
    if outcome is None or timed_out:
        # Killed from outside, before it could answer.
        outcome = Outcome(128 + signal.SIGKILL, signal.SIGKILL, timed_out)
    return outcome.replace(seconds=seconds)


def _wait_for_end(link: socket, session: Session | None) -> None:
    """Ignore what else a sandbox says, and wait until all of it is gone: a command of it is not over before."""
    if session is not None:
        session.end()
    try:
        while link.recv(1 << 16):
            pass
    except OSError:
        pass
