"""Numbers of bytes as people write and read them. k, m, g, t and p are powers of 1024 in all of them, so that what is
shown can be given back."""

from __future__ import annotations

MAX_SIZE = 1 << 63
"""Sizes are below this: the kernel's integers end here."""


def format_size(count: int) -> str:
    """Return bytes with one digit after the point: `999 B`, `1.2 KiB`, `3.4 MiB`.

    git and docker's limits count in powers of 1024 too; the `i` says so to those who expect powers of 1000.
    parse_size(format_size(n)) is n, but for what one digit leaves out.
    """
    if abs(count) < 1024:
        return f"{count} B"
    value = float(count)
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        value /= 1024
        if abs(value) < 1023.95:  # what would round to 1024.0 is 1.0 of the next unit
            return f"{value:.1f} {unit}"
    return f"{value / 1024:.1f} PiB"


def parse_size(text: str) -> int | None:
    """Return the bytes of `512m`, `1.5g`, `20 GB`, `64KiB` or a plain number; None for anything else.

    As docker and git read sizes, k, m, g, t and p are powers of 1024, in either case, with or without `b` or `ib`.
    """
    import re  # few commands are given a size

    match = re.fullmatch(r"\s*([0-9]{1,19})(\.[0-9]{1,19})? ?(?:([kmgtp])(?:i?b)?|b)?\s*", text.lower(), re.ASCII)
    if match is None:
        return None
    whole, fraction, unit = match.groups()
    factor: int = 1024 ** " kmgtp".index(unit or " ")
    return int(whole) * factor + int(float(fraction or 0) * factor)
