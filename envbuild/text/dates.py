"""Points in time as people write and read them: `yesterday`, `2 days ago`, `2026-11-20 14:00`."""

from __future__ import annotations

import time

from envbuild.errors import UsageError, fields

_UNITS = {
    "second": 1,
    "minute": 60,
    "hour": 3600,
    "day": 86400,
    "week": 7 * 86400,
    "month": 30 * 86400,
    "year": 365 * 86400,
}


@fields
class BadMoment(UsageError):
    """A text that says no point in time."""

    moment: str

    def text(self) -> tuple[str, str]:
        return (
            f"'{self.moment}' is not a date that envbuild understands",
            "as in: yesterday, '3 days ago', 2026-11-20, '2026-11-20 14:00', 2026-11-20T14:00Z",
        )


def is_count(text: str) -> bool:
    """Tell whether a text is the N of `@{N}`; more digits than nine are none, however many there are."""
    return text.isascii() and text.isdigit() and len(text) < 10


def moment_of(text: str, now: float) -> float:
    """Return seconds since 1970 of a point in time; `now` is what the text is relative to. Raises BadMoment.

    As in git, `yesterday` and `N days ago` mean this time of that day, words may be joined by points and `ago` left
    out, and a date without a zone is local. A date without a time means the end of that day: what was so at the last.
    """
    words = text.lower().replace(".", " ").split()
    if words in (["now"], ["yesterday"]):
        return now - (86400 if words == ["yesterday"] else 0)
    if len(words) == 2 or words[2:] == ["ago"]:
        number, unit = words[0], _UNITS.get(words[1].removesuffix("s"))
        if unit is not None and is_count(number):
            return now - int(number) * unit
    from datetime import datetime  # only for dates

    try:
        moment = datetime.fromisoformat(text.strip().upper().replace(" ", "T"))
    except ValueError:
        raise BadMoment(text) from None
    if ":" not in text and "T" not in text.upper() and " " not in text.strip():
        moment = moment.replace(hour=23, minute=59, second=59, microsecond=999999)
    try:
        return moment.timestamp()
    except (ValueError, OverflowError, OSError):
        raise BadMoment(text) from None  # before the year 1, somewhere on the way to UTC


def end_of(text: str, now: float) -> float:
    """Return when that is over what a text means: 14:00:05 when 14:00:06 begins. So what `iso` or `iso_exact` shows of
    a moment ends after it. Raises BadMoment."""
    moment = moment_of(text, now)
    # Half a microsecond more than one: what is stored is a float, of which `iso_exact` cuts something off.
    return moment + (0.000_001_5 if "." in text or moment != int(moment) else 1.0)


def iso_exact(moment: float) -> str:
    """Return what `iso` does, with microseconds."""
    if iso(moment)[-1:] != "Z":
        return iso(moment)
    whole = int(moment // 1)
    return iso(whole).removesuffix("Z") + f".{int((moment - whole) * 1_000_000):06}Z"


def iso(moment: float) -> str:
    """Return seconds since 1970 as `2024-05-01T12:00:00Z`; as they are where no calendar has them."""
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
    except (ValueError, OverflowError, OSError):
        return f"{moment:g} seconds since 1970"
