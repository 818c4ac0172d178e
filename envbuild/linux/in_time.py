"""Functions that may never return, such as a look at a dead file server: run in processes of their own, for a while."""

from __future__ import annotations

import os
import select
import time
from signal import SIGKILL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_MAX_ANSWER = 4096


def answers_in_time(functions: Sequence[Callable[[], str]], seconds: float) -> list[str | None]:
    """Return what each function returns, all run in parallel; None for those that are not done after `seconds`.

    Each runs in a child process, since a thread that hangs can't be ended. This process has one thread.
    """
    children = [_start(function) for function in functions]
    answers: dict[int, str | None] = {}
    end = time.monotonic() + seconds
    try:
        poll = select.poll()
        for _, reading in children:
            poll.register(reading, select.POLLIN)
        while len(answers) < len(children) and (left := end - time.monotonic()) > 0:
            for reading, _ in poll.poll(left * 1000):
                # A child writes its answer at once, and nothing after it.
                answers[reading] = os.read(reading, _MAX_ANSWER).decode(errors="replace")
                poll.unregister(reading)
    finally:
        for child, reading in children:
            os.close(reading)
            _end(child)
    return [answers.get(reading) for _, reading in children]


def _start(function: Callable[[], str]) -> tuple[int, int]:
    reading, writing = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, function().encode(errors="replace")[:_MAX_ANSWER])
        finally:
            os._exit(0)
    os.close(writing)
    return child, reading


def _end(child: int) -> None:
    os.kill(child, SIGKILL)
    for _ in range(20):
        if os.waitpid(child, os.WNOHANG)[0]:
            return
        time.sleep(0.005)
    # It waits in the kernel for what does not come: whoever inherits it from us waits for it.
