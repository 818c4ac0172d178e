"""Figures as people read them: durations, ages, counts."""

from __future__ import annotations

from envbuild.text.sizes import format_size


def duration(seconds: float) -> str:
    """Return `12ms`, `1.2s`, `2m 03s`, `1h 02m`, `3d 04h`: two figures at most, cut to the shorter unit's whole."""
    if seconds < 0.0995:
        return f"{max(seconds, 0) * 1000:.0f}ms"
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    whole = int(seconds + 0.5)
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d {whole % 86400 // 3600:02d}h"


def ago(then: float, now: float) -> str:
    """Return how long `then` is before `now`, both in seconds since 1970: `just now`, `3 minutes ago`.

    A time in the future (a clock that was set back, an epoch of a lock) is shown as a date.
    """
    past = now - then
    if past < -1:
        from envbuild.text.dates import iso  # hardly ever

        return iso(then)
    if past < 10:
        return "just now"
    for limit, length, unit in (
        (60, 1, "second"),
        (3600, 60, "minute"),
        (86400, 3600, "hour"),
        (86400 * 14, 86400, "day"),
        (86400 * 60, 86400 * 7, "week"),
        (86400 * 730, 86400 * 30, "month"),
    ):
        if past < limit:
            return f"{count(int(past / length), unit)} ago"
    return f"{count(int(past / (86400 * 365)), 'year')} ago"


def count(number: int, noun: str) -> str:
    """Return `1 step`, `2 steps`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def amount(number: int, unit: str) -> str:
    """Return a number of `unit`, with bytes as a size."""
    return format_size(number) if unit in ("bytes", "B") else f"{number} {unit}".rstrip()
