"""Scalars of a compose file that are not plain text: durations, sizes, numbers. Each function raises InvalidValue."""

from __future__ import annotations

import re

from envbuild.language.values import InvalidValue
from envbuild.text.sizes import MAX_SIZE, parse_size

# ASCII digits, and no more than make sense: Python's float and int take others, too, and any number of them.
_NUMBER = r"([0-9]{1,12}(?:\.[0-9]{1,12})?)"
_DURATION = re.compile(
    rf"(?:{_NUMBER}h)?(?:{_NUMBER}m(?!s))?(?:{_NUMBER}s)?(?:([0-9]{{1,15}})ms)?(?:([0-9]{{1,18}})us)?"
)
_YES, _NO = ("true", "yes", "y", "on"), ("false", "no", "n", "off")
_UNCLEAR = re.compile(r"[-+]?(0[0-9_]+|0o[0-7]+|0x[0-9a-fA-F_]+|0b[01_]+|[0-9]+(_[0-9]+)+|[0-9.]+[eE][-+]?[0-9]+)")


def seconds(text: str) -> float:
    """Return a duration, from `10s`, `1m30s`, `1h`, `500ms`."""
    match = _DURATION.fullmatch(text)
    if text == "0":
        return 0.0
    if not text or not match:
        raise InvalidValue(f"'{text}' is not a valid duration", "a duration is written 10s, 1m30s or 500ms")
    hours, minutes, whole, thousandths, millionths = (float(group or 0) for group in match.groups())
    total = 3600 * hours + 60 * minutes + whole + thousandths / 1e3 + millionths / 1e6
    if total >= 1e9:
        raise InvalidValue(f"'{text}' is longer than 30 years", "give less")
    return total


def size(text: str) -> int:
    """Return the bytes of `512m`, `1.5g`, `64kb` or a number."""
    count = parse_size(text)
    if count is None:
        raise InvalidValue(f"'{text}' is not a valid size", "a size is written 512m, 1.5g or as a number of bytes")
    if not 0 < count < MAX_SIZE:
        raise InvalidValue(f"'{text}' is out of range", "it must be more than 0, and less than 8 EiB")
    return count


def boolean(text: str) -> bool:
    """Return the value of true or false, or of another word that YAML 1.1 had for them."""
    lower = text.lower()
    if lower not in _YES + _NO:
        raise InvalidValue(f"'{text}' is neither true nor false", "write true or false")
    return lower in _YES


def init(text: str) -> bool:
    """Return whether a command has a process 1 beside it: false or `none` if it is that itself."""
    return text == "envbuild" or (text != "none" and boolean(text))


def whole(text: str) -> int:
    """Return a whole number from 0."""
    if not re.fullmatch(r"[0-9]{1,12}", text):
        raise InvalidValue(f"'{text}' is not a whole number", "expected a number such as 3")
    if len(text) > 1 and text.startswith("0"):
        raise InvalidValue(f"'{text}' is octal for some YAML parsers", "leave out the leading 0")
    return int(text)


def positive(text: str) -> int:
    """Return a whole number from 1."""
    if whole(text) < 1:
        raise InvalidValue(f"'{text}' is too few", "expected a number from 1")
    return int(text)


def processors(text: str) -> float:
    """Return a number of processors, more than none."""
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?|\.[0-9]{1,9}", text) or not 0 < float(text) < 10_000:
        raise InvalidValue(f"'{text}' is not a valid number of processors", "as in: 0.5 or 2")
    return float(text)


def identifier(text: str) -> str:
    """Return the name of a service, a volume or a network."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", text):
        rule = "a name is letters, digits, '.', '_' and '-', a letter or digit first"
        raise InvalidValue(f"'{text}' is not a valid name", rule)
    return text


def group_name(text: str) -> str:
    """Return the name of a group."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", text):
        hint = "it is lower case letters, digits, '_' and '-', a letter or digit first"
        raise InvalidValue(f"'{text}' can't name a group", hint)
    return text


def variable(text: str) -> str:
    """Return the name of an environment variable."""
    if not text or "=" in text or "\0" in text:
        raise InvalidValue(f"'{text}' can't name a variable", "as in: NAME=VALUE")
    return text


def inside(text: str) -> str:
    """Return an absolute path in an instance, without a slash at its end."""
    if not text.startswith("/"):
        raise InvalidValue(f"'{text}' is not an absolute path", "a path in the instance starts with '/'")
    return text.rstrip("/") or "/"


def clear(text: str) -> str:
    """Return a plain word that each reader of YAML takes for the same text."""
    if _UNCLEAR.fullmatch(text):
        raise InvalidValue(f"'{text}' is a different number for some YAML parsers", f'put it in quotes: "{text}"')
    return text
