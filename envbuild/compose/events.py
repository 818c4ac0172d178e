"""What bringing a group up or down tells whoever watches it. The core never prints."""

from __future__ import annotations

from collections.abc import Callable

from envbuild.record import Record

BUILDING = "building"
STARTING, STARTED, UNCHANGED, RECREATING, WAITING = "starting", "started", "unchanged", "recreating", "waiting"
HEALTHY, COMPLETED = "healthy", "completed"
STOPPING, STOPPED, REMOVED = "stopping", "stopped", "removed"


class Told(Record):
    """What became of a service: `what` is one of the words above, `detail` says more or nothing."""

    service: str
    what: str
    detail: str = ""


class Warned(Record):
    """Something that the user should know."""

    message: str
    hint: str = ""


Event = Told | Warned
Emit = Callable[[Event], None]
