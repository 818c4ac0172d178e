"""What names an image in the store: `NAME`, `NAME:TAG`, either with `@{WHICH}`, or a digest or its first digits."""

from __future__ import annotations

from envbuild.errors import UsageError
from envbuild.record import Record

LATEST = "latest"
SHORTEST_PREFIX = 4
_ALPHANUMERIC = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_HEXADECIMAL = "0123456789abcdef"


class Reference(Record):
    """A name and a tag; `which` is what stands in `@{...}` behind them, None without."""

    name: str
    tag: str
    which: str | None = None


class BadName(UsageError):
    """A text that can't name an image, or what else is said."""

    def __init__(self, name: str, what: str = "an image") -> None:
        super().__init__(
            f"'{name}' can't name {what}",
            "names and tags begin with a letter or digit and hold letters, digits, `.`, `_` and `-`, as in web:v1.2",
        )


def split_name(reference: str) -> tuple[str, str]:
    """Return (name, tag) of `NAME` or `NAME:TAG`. Raises BadName."""
    name, colon, tag = reference.partition(":")
    for part in (name, tag) if colon else (name,):
        if not part or not part[0].isalnum() or not part.isascii() or part.strip("._-" + _ALPHANUMERIC):
            raise BadName(reference)
    return name, tag or LATEST


def parse_reference(text: str) -> Reference | None:
    """Return the reference that `text` is by its form, None if it can only be a digest, or nothing."""
    head, mark, rest = text.partition("@{")
    if mark and not rest.endswith("}"):
        return None
    try:
        name, tag = split_name(head)
    except BadName:
        return None
    return Reference(name, tag, rest[:-1] if mark else None)


def digits_of(text: str) -> str | None:
    """Return the hexadecimal digits of a digest or of the beginning of one, None if `text` is none."""
    digits = text.removeprefix("sha256:")
    return digits if len(digits) >= SHORTEST_PREFIX and not digits.strip(_HEXADECIMAL) else None


def as_tag(text: str) -> str:
    """Return a tag that stands for `text`, such as a branch's name: what a tag may not hold becomes `-`. "" if nothing
    is left."""
    allowed = "".join(character if character in _ALPHANUMERIC or character in "._-" else "-" for character in text)
    return allowed.lstrip("._-")
