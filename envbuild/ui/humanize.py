"""Figures as people read them: sizes, durations, points in time."""

from __future__ import annotations

import time


def size(count: int) -> str:
    """Return bytes in decimal units with one digit after the point: `999 B`, `1.2 kB`, `3.4 MB`."""
    if abs(count) < 1000:
        return f"{count} B"
    value = float(count)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if abs(value) < 999.95:  # what would round to 1000.0 is 1.0 of the next unit
            return f"{value:.1f} {unit}"
    return f"{value / 1000:.1f} PB"


def parse_size(text: str) -> int | None:
    """Return bytes of `500MB`, `1.5 GB`, `20G` or a plain number; decimal units, and binary ones as `GiB`.

    None for others.
    """
    import re

    match = re.fullmatch(r"\s*([0-9]{1,19}(?:\.[0-9]{1,19})?)\s*([kmgt]?)(i?)b?\s*", text.lower())
    if match is None or (match[3] and not match[2]):
        return None
    base = 1024 if match[3] else 1000
    return int(float(match[1]) * base ** " kmgt".index(match[2] or " "))


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


def iso(moment: float) -> str:
    """Return seconds since 1970 as `2024-05-01T12:00:00Z`; as they are where no calendar has them."""
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
    except (ValueError, OverflowError, OSError):
        return f"{moment:g} seconds since 1970"


def count(number: int, noun: str) -> str:
    """Return `1 step`, `2 steps`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def amount(number: int, unit: str) -> str:
    """Return a number of `unit`, with bytes as a size."""
    return size(number) if unit in ("bytes", "B") else f"{number} {unit}".rstrip()
