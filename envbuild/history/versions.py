"""Which of two versions is the older one, by the rules of those who gave them."""

from __future__ import annotations

import re

LONGEST = 1000
"""Characters of a version that are looked at."""
_PART = re.compile(r"([^0-9]*)([0-9]*)")


def is_older(kind: str, one: str, other: str) -> bool:
    """Whether `one` comes before `other`. Debian's rules (deb-version(7)) for all kinds: epoch, upstream version and
    revision, digits as numbers, `~` before all else; for Python and Node a pre-release is marked before that."""
    one, other = one[:LONGEST], other[:LONGEST]
    if kind != "dpkg":
        one, other = _marked(one), _marked(other)
    return _key(one) < _key(other)


def _marked(version: str) -> str:
    """A version of Python (PEP 440) or Node (semver.org) whose pre-release part sorts before the release."""
    return re.sub(r"[-_.]?(a|b|rc|alpha|beta|pre|dev|next|canary)(?=[.\d]|$)", r"~\1", version.partition("+")[0])


def _key(version: str) -> tuple[int, list[tuple[list[int], int]], list[tuple[list[int], int]]]:
    epoch, colon, rest = version.partition(":")
    if not colon or not re.fullmatch("[0-9]{1,9}", epoch):
        epoch, rest = "0", version
    upstream, _, revision = rest.rpartition("-") if "-" in rest else (rest, "", "")
    return int(epoch), _parts(upstream), _parts(revision)


def _parts(text: str) -> list[tuple[list[int], int]]:
    # The end of a text sorts before all but `~`, letters before the rest: deb-version(7).
    pieces = [(letters, digits) for letters, digits in _PART.findall(text) if letters or digits]
    return [([*map(_order, letters), 0], int(digits or 0)) for letters, digits in [*pieces, ("", "")]]


def _order(letter: str) -> int:
    if letter == "~":
        return -1
    return ord(letter) if letter.isalpha() else ord(letter) + 256
