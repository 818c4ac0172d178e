"""Versions of Python distributions and what they are compared by (Python packaging's "Version specifiers")."""

from __future__ import annotations

import re

MAX_VERSION = 200
"""Characters of a version or of a specifier."""
_VERSION = re.compile(
    r"v?(?:(?P<epoch>[0-9]+)!)?(?P<release>[0-9]+(?:\.[0-9]+)*)"
    r"(?:[-_.]?(?P<phase>alpha|beta|preview|pre|rc|a|b|c)[-_.]?(?P<pre>[0-9]*))?"
    r"(?P<post>-[0-9]+|[-_.]?(?:post|rev|r)[-_.]?[0-9]*)?"
    r"(?P<dev>[-_.]?dev[-_.]?[0-9]*)?"
    r"(?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?",
    re.IGNORECASE,
)
_SPECIFIER = re.compile(r"(===|~=|==|!=|<=|>=|<|>)\s*(\S+)")
_PHASES = {"alpha": "a", "beta": "b", "c": "rc", "pre": "rc", "preview": "rc"}
_NUMBER = re.compile(r"[0-9]+")
_LOWEST, _HIGHEST = (-1,), (2,)

Release = tuple[int, ...]


class BadSpecifier(ValueError):
    """A text is not what versions are compared by."""


class Version:
    """One version, whose `order` says which of two is newer. Raises BadSpecifier."""

    __slots__ = ("epoch", "is_dev", "is_post", "is_pre", "local", "order", "release")

    def __init__(self, text: str) -> None:
        match = _VERSION.fullmatch(text.strip()) if len(text) <= MAX_VERSION else None
        if match is None:
            raise BadSpecifier(f"{text[:MAX_VERSION]!r} is not a version")
        self.epoch = int(match["epoch"] or 0)
        self.release: Release = tuple(map(int, match["release"].split(".")))
        self.local = match["local"]
        self.is_pre = match["phase"] is not None or match["dev"] is not None
        self.is_dev = match["dev"] is not None
        self.is_post = match["post"] is not None
        phase = (match["phase"] or "").lower()
        pre: tuple[object, ...] = (1, _PHASES.get(phase, phase), int(match["pre"] or 0)) if phase else _HIGHEST
        if not phase and match["post"] is None and match["dev"] is not None:
            pre = _LOWEST  # a development release comes before the first pre-release
        self.order: tuple[object, ...] = (
            self.epoch,
            _without_zeros(self.release),
            pre,
            -1 if match["post"] is None else _number_in(match["post"]),
            # Without a `dev` it is later than with any.
            _HIGHEST if match["dev"] is None else (1, _number_in(match["dev"])),
        )

    @property
    def local_order(self) -> tuple[tuple[int, int, str], ...]:
        """What orders the parts behind a `+`: numbers are newer than names."""
        parts = re.split(r"[-_.]", self.local.lower()) if self.local else []
        return tuple((1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts)


def _number_in(text: str) -> int:
    match = _NUMBER.search(text)
    return int(match[0]) if match else 0


def _without_zeros(release: Release) -> Release:
    end = len(release)
    while end > 1 and release[end - 1] == 0:
        end -= 1
    return release[:end]


def meets(version: str, specifiers: str) -> bool:
    """Return whether a version is what all of these specifiers allow (`>=3.9,!=3.9.1`); pre-releases count as others.
    Raises BadSpecifier."""
    parts = [part.strip() for part in specifiers.split(",")]
    return all(_meets_one(version, part) for part in parts if part)


def _meets_one(version: str, specifier: str) -> bool:
    match = _SPECIFIER.fullmatch(specifier) if len(specifier) <= MAX_VERSION else None
    if match is None:
        raise BadSpecifier(f"{specifier[:MAX_VERSION]!r} is not a comparison of versions")
    return compare(version, match[1], match[2])


def compare(left: str, operator: str, right: str) -> bool:
    """Return whether a comparison of a version with what stands in a specifier holds. Raises BadSpecifier."""
    if operator == "===":
        return left.strip().lower() == right.strip().lower()
    have = Version(left)
    if operator in ("==", "!=") and right.endswith(".*"):
        return _begins(have, Version(right[:-2])) == (operator == "==")
    want = Version(right)
    match operator:
        case "==" | "!=":
            # A version without a local part means all of them.
            same = have.order == want.order and (want.local is None or have.local_order == want.local_order)
            return same == (operator == "==")
        case "~=":
            if len(want.release) < 2:
                raise BadSpecifier(f"'~={right}' needs a version of two parts")
            prefix = ".".join(map(str, want.release[:-1]))
            return have.order >= want.order and _begins(have, Version(f"{want.epoch}!{prefix}"))
        case "<=":
            return have.order <= want.order
        case ">=":
            return have.order >= want.order
        case "<":
            # Not a pre-release of the version itself.
            is_pre = have.is_pre and not want.is_pre and (not want.is_post or have.order[3] == want.order[3])
            return have.order < want.order and not (is_pre and _same_release(have, want))
        case ">":
            # Nor a later packaging of it.
            is_post = have.is_post and not want.is_post and have.order[2] == want.order[2] and not want.is_dev
            return have.order > want.order and not (is_post and _same_release(have, want))
        case _:
            raise BadSpecifier(f"{operator[:20]!r} compares no versions")


def _same_release(have: Version, want: Version) -> bool:
    return have.order[:2] == want.order[:2]


def _begins(have: Version, want: Version) -> bool:
    padded = (*have.release, *(0 for _ in want.release))
    return have.epoch == want.epoch and padded[: len(want.release)] == want.release
