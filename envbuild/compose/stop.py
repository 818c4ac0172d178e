"""Stopping the services of a group: each before those that it depends on, independent ones in parallel."""

from __future__ import annotations

import select
import signal
import time

from envbuild.compose.members import STOPPED, STOPPING, Emit, Member, Progressed, is_over
from envbuild.instances.control_client import NotRunning, ask, connect
from envbuild.instances.messages import CONTROL_ANSWERS, SignalRequest, StopRequest
from envbuild.instances.records import Instances
from envbuild.sandbox.wire import receive, send

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from socket import socket


def stop_members(instances: Instances, stopped: Sequence[Member], emit: Emit, seconds: float | None = None) -> None:
    """Return when all of them are over; those that are already are not told of.

    `seconds` is how long each has for it, None for what it was started with. When this is interrupted, what was asked
    to end goes on ending. No thread is made: who removes an instance has to enter a namespace first.
    """
    left = [member for member in stopped if not is_over(instances.state(member.instance))]
    ending: dict[socket, Member] = {}
    try:
        while left or ending:
            going = [*left, *ending.values()]
            for member in [member for member in left if not _is_needed(member, going)] or (left if not ending else []):
                left.remove(member)
                emit(Progressed(member.service, STOPPING))
                link = _ask_to_end(member, seconds)
                if link is None:
                    emit(Progressed(member.service, STOPPED))
                else:
                    ending[link] = member
            for link in select.select(list(ending), (), ())[0] if ending else ():
                _hear(link)
                link.close()
                member = ending.pop(link)
                # Its command is over; its ports are free when its supervisor is gone, too.
                while instances.is_supervised(member.instance):
                    time.sleep(0.005)
                emit(Progressed(member.service, STOPPED))
    finally:
        for link in ending:
            link.close()


def kill_members(killed: Sequence[Member]) -> None:
    """End all of them at once."""
    for member in killed:
        try:
            ask(member.instance, SignalRequest(signal.SIGKILL))
        except NotRunning:
            pass


def _is_needed(member: Member, going: Sequence[Member]) -> bool:
    """Tell whether another one that goes on running depends on it."""
    return any(member.service in other.after for other in going if other is not member)


def _ask_to_end(member: Member, seconds: float | None) -> socket | None:
    """Return the connection on which its end will be told, None if it is over."""
    try:
        link = connect(member.instance)
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
