"""What the tracer saw, as it saw it: paths as the step's processes named them, in the order of their first use.

What a path leads to depends on the links of the tree and on those that the step made. That is found out once, when the
step is over (resolver.py), and costs the step nothing.
"""

from __future__ import annotations

from envbuild.errors import WorkFailed, fields
from envbuild.record import NamedTuple, Record

FOLLOW = 1 << 5
"""A link at the end of the path is followed."""
OPENED = 1 << 6
"""A directory is opened there, and read."""
LINK_ALONE = 1 << 7
"""Of anything but a link only the kind is asked."""
LINKED = 1 << 8
"""A link to `other` is made at the path. An action of its own."""
MOVED = 1 << 9
"""What lies at the path comes to lie at `other`. An action of its own."""
_LAST = MOVED

MAX_EVENTS = 1 << 20
MAX_BYTES = 1 << 27
"""More of them, or with longer paths all in all, are not kept, and the step can't be traced."""


@fields
class BadObservation(WorkFailed):
    """What comes from the tracer is of another form."""

    def text(self) -> tuple[str, str]:
        return "what the tracer of a step says makes no sense", ""


class Event(NamedTuple):
    """Something that the step did for the first time.

    `action` is the sum of flags of reads.py and of this module. `path` begins with a slash; `floor` is where the
    process had its root, b"" for the tree's own. Both are in the tree's terms.
    """

    action: int
    floor: bytes
    path: bytes
    other: bytes = b""


class Observed(Record):
    """All that a step did; with a text in `untraceable` not all of it, and why."""

    events: tuple[Event, ...]
    untraceable: str = ""


def dump(observed: Observed) -> bytes:
    """Return the form in which the tracer hands it over. load(dump(observed)) == observed."""
    lines = [b"%x\0%s\0%s\0%s\0" % event for event in observed.events]
    return b"".join([observed.untraceable.encode("utf-8", "backslashreplace").replace(b"\0", b" "), b"\0", *lines])


def load(data: bytes) -> Observed:
    """Return what `dump` made `data` of. Raises BadObservation."""
    reason, *words = data.split(b"\0")
    if len(words) % 4 != 1 or words[-1]:
        raise BadObservation
    try:
        events = tuple(
            [
                Event(int(action, 16), floor, path, other)
                for action, floor, path, other in zip(words[0::4], words[1::4], words[2::4], words[3::4], strict=False)
            ]
        )
        if any(not 0 <= event.action < 2 * _LAST for event in events):
            raise BadObservation
        return Observed(events, reason.decode())
    except ValueError as error:
        raise BadObservation from error
