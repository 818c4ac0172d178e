"""How many of the captures that a machine took by itself are kept: more of the last days, fewer of long ago.

Of each hour of the last day the last capture is kept, of each day of the last month, and of each month before that, by
the calendar of UTC. What was kept once is so until its whole period is over: the last capture of a month is the last
one of its day and its hour, too. Captures that somebody asked for are not thinned out.
"""

from __future__ import annotations

import re
import time

from envbuild.errors import BadOption
from envbuild.record import Record
from envbuild.store.tags import CAPTURE, HistoryEntry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

BY_ITSELF = frozenset(("timer", "apt"))
"""What starts captures that nobody asked for (the entry's `trigger`)."""
HOUR, DAY = 3600, 86400
_FORM = re.compile(r"(hours|days|months)=(all|0|[1-9][0-9]{0,5})")
EXAMPLE = "--captures hours=24,days=31,months=all"


class Retention(Record):
    """For how many hours one capture an hour is kept, for how many days one a day, and for how many months of 31 days
    one a month; None for ever."""

    hours: int | None = 24
    days: int | None = 31
    months: int | None = None

    @property
    def keeps_all(self) -> bool:
        """Whether no capture of another hour is dropped."""
        return self.hours is None

    def period(self, moved: float, now: float) -> str:
        """Return the period of which a capture of this time (seconds since 1970) may be the only one that is kept, ""
        if it is of none."""
        age = now - moved
        for limit, seconds, form in (
            (self.hours, HOUR, "%Y-%m-%d %H"),
            (self.days, DAY, "%Y-%m-%d"),
            (self.months, 31 * DAY, "%Y-%m"),
        ):
            if limit is None or age <= limit * seconds:
                return time.strftime(form, time.gmtime(moved))
        return ""


def parse_retention(text: str, where: str = "--captures") -> Retention:
    """Return what `hours=24,days=31,months=all` says; what it does not name is as usual. Raises BadOption."""
    limits: dict[str, int | None] = {}
    for part in text.split(","):
        match = _FORM.fullmatch(part.strip())
        if match is None or match[1] in limits:
            raise BadOption(where, text, "number of hours, days and months to keep captures of", EXAMPLE)
        limits[match[1]] = None if match[2] == "all" else int(match[2])
    return Retention().replace(**limits)


def thinned_out(history: Iterable[HistoryEntry], retention: Retention, now: float) -> set[int]:
    """Return the numbers of the entries whose captures are not kept. `history` is that of a tag, the newest first; the
    newest entry, which is what the tag is, stays."""
    gone: set[int] = set()
    periods: set[str] = set()
    for back, entry in enumerate(history):
        if entry.action != CAPTURE or entry.known.get("trigger") not in BY_ITSELF:
            continue
        period = retention.period(entry.moved, now)
        if back and (not period or period in periods):
            gone.add(entry.number)
        periods.add(period)
    return gone
