"""Ending the services of a group: each before those that it depends on, and such as don't at the same time."""

from __future__ import annotations

import signal
import threading

from envbuild.runtime.control import SIGNAL, STOP, NotRunning, ask
from envbuild.services.events import STOPPED, STOPPING, Emit, Told
from envbuild.services.members import Member

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def end(found: Sequence[Member], emit: Emit, seconds: float | None = None) -> None:
    """Returns when all of them are over. `seconds` is how long each has for it, None for what it was started with.

    Threads of this are gone then. A KeyboardInterrupt comes through; what was asked to end goes on ending.
    """
    left = list(found)
    while left:
        needed = {name for one in left for name in one.after if name != one.service}
        batch = [one for one in left if one.service not in needed] or left
        left = [one for one in left if one not in batch]
        threads = [threading.Thread(target=_end, args=(one, emit, seconds), daemon=True) for one in batch]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def kill(found: Sequence[Member]) -> None:
    """Ends all of them at once."""
    for one in found:
        try:
            ask(one.instance, SIGNAL, (int(signal.SIGKILL),))
        except NotRunning:
            pass


def _end(one: Member, emit: Emit, seconds: float | None) -> None:
    try:
        emit(Told(one.service, STOPPING))
        ask(one.instance, STOP, (seconds,))
    except NotRunning:
        pass
    emit(Told(one.service, STOPPED))
