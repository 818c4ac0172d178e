"""Ending the services of a group: each before those that it depends on, and such as don't at the same time."""

from __future__ import annotations

import select
import signal
import time

from envbuild.compose.events import STOPPED, STOPPING, Emit, Told
from envbuild.compose.members import Member, is_over
from envbuild.instances.control_client import NotRunning, ask, connect
from envbuild.instances.messages import CONTROL_ANSWERS, SignalRequest, StopRequest
from envbuild.instances.records import Instances
from envbuild.sandbox.wire import receive, send

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from socket import socket


def end(instances: Instances, found: Sequence[Member], emit: Emit, seconds: float | None = None) -> None:
    """Returns when all of them are over; those that are already are not told of.

    `seconds` is how long each has for it, None for what it was started with. When this is interrupted, what was asked
    to end goes on ending. No thread is made: who removes an instance has to enter a namespace first.
    """
    left = [one for one in found if not is_over(instances.state(one.instance))]
    ending: dict[socket, Member] = {}
    try:
        while left or ending:
            going = [*left, *ending.values()]
            for one in [one for one in left if not _is_needed(one, going)] or (left if not ending else []):
                left.remove(one)
                emit(Told(one.service, STOPPING))
                link = _ask_to_end(one, seconds)
                if link is None:
                    emit(Told(one.service, STOPPED))
                else:
                    ending[link] = one
            for link in select.select(list(ending), (), ())[0] if ending else ():
                _hear(link)
                link.close()
                one = ending.pop(link)
                # Its command is over; its ports are free when its supervisor is gone, too.
                while instances.is_supervised(one.instance):
                    time.sleep(0.005)
                emit(Told(one.service, STOPPED))
    finally:
        for link in ending:
            link.close()


def kill(found: Sequence[Member]) -> None:
    """Ends all of them at once."""
    for one in found:
        try:
            ask(one.instance, SignalRequest(signal.SIGKILL))
        except NotRunning:
            pass


def _is_needed(one: Member, going: Sequence[Member]) -> bool:
    """Whether another one that goes on running depends on it."""
    return any(one.service in other.after for other in going if other is not one)


def _ask_to_end(one: Member, seconds: float | None) -> socket | None:
    """The connection on which its end will be told, None if it is over."""
    try:
        link = connect(one.instance)
    except NotRunning:
        return None
    try:
        send(link, StopRequest(seconds))
    except OSError:
        link.close()
        return None
    return link


def _hear(link: socket) -> None:
    try:
        receive(link, CONTROL_ANSWERS)
    except OSError:
        pass  # it ended while it was asked
