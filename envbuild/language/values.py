"""Words that stand for something else than text: times, modes, ports, signals, names, paths.

Each function takes the word's text and returns what it means, or raises NotOne with what was expected.
"""

from __future__ import annotations

import re
import signal as signals

from envbuild.text.suggestion import did_you_mean

# ASCII digits, and no more than make sense: Python's float and int take others, too, and any number of them.
_DURATION = re.compile(r"(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m)?(?:([0-9]{1,9}(?:\.[0-9]{1,9})?)s)?|([0-9]{1,12})ms")
_USER = r"(?:[a-z_][a-z0-9_-]{0,31}|[0-9]{1,10})"
_PARAMETER = re.compile(r"[a-z][a-z0-9_]*")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]*[a-z0-9+.](:[a-z0-9-]+)?(=[A-Za-z0-9.+~:*-]+)?")
LARGEST_ID = 2**32 - 2


class NotOne(Exception):
    """The text is not what was expected: `message` is what is wrong, `hint` how it should be."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def duration(text: str) -> float:
    """Seconds, from `90s`, `10m`, `1h30m`, `0.5s` or `250ms`; more than none."""
    found = _DURATION.fullmatch(text)
    if not text or not found:
        raise NotOne(f"'{text}' is no duration", "a duration is written 90s, 10m or 1h30m")
    hours, minutes, seconds, thousandths = found.groups()
    total = 3600.0 * int(hours or 0) + 60.0 * int(minutes or 0) + float(seconds or 0) + int(thousandths or 0) / 1000
    if not 0 < total < 1e9:
        raise NotOne(f"'{text}' is no duration to wait for", "it must be more than 0s, and less than 30 years")
    return total


def mode(text: str) -> int:
    """Permission bits, from three or four octal digits: `644`, `0755`, `4755`."""
    if not re.fullmatch(r"0?[0-7]{3,4}", text):
        raise NotOne(f"'{text}' is no file mode", "a mode is octal, such as 0644 or 0755")
    return int(text, 8)


def count(text: str) -> int:
    """A whole number from 1."""
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) < 1:
        raise NotOne(f"'{text}' is no count", "expected a whole number from 1")
    return int(text)


def identity(text: str) -> int:
    """A user's or group's number."""
    if not re.fullmatch(r"[0-9]{1,10}", text) or int(text) > LARGEST_ID:
        raise NotOne(f"'{text}' is no user or group number", f"expected a whole number from 0 to {LARGEST_ID}")
    return int(text)


def port(text: str) -> str:
    """`PORT/PROTOCOL`; tcp where none is given."""
    number, slash, protocol = text.partition("/")
    if not re.fullmatch(r"[0-9]{1,9}", number) or not 1 <= int(number) <= 65535:
        raise NotOne(f"'{number}' is no port", "a port is a number from 1 to 65535")
    if slash and protocol not in ("tcp", "udp"):
        raise NotOne(f"'{protocol}' is no protocol of a port", "it is tcp or udp, as in 8080/tcp")
    return f"{int(number)}/{protocol or 'tcp'}"


def signal(text: str) -> str:
    """A signal's name without SIG."""
    known = [item.name.removeprefix("SIG") for item in signals.Signals]
    name = text.upper().removeprefix("SIG")
    if name not in known:
        hint = did_you_mean(name, known, "a signal is named, as in TERM, INT or QUIT")
        raise NotOne(f"unknown signal '{text}'", hint)
    return name


def absolute(text: str) -> str:
    """A path from the root of the environment."""
    if not text.startswith("/"):
        raise NotOne(f"'{text}' is no absolute path", "a path in the environment starts with '/'")
    return path(text)


def path(text: str) -> str:
    """A path that is not empty."""
    if not text or "\0" in text:
        raise NotOne("a path can't be empty")
    return text


def owner(text: str) -> str:
    """`NAME` or `NAME:GROUP`; numbers may stand for both."""
    if not re.fullmatch(f"{_USER}(:{_USER})?", text):
        raise NotOne(f"'{text}' is no user", "a user is NAME or NAME:GROUP, in lower case, or numbers")
    return text


def user(text: str) -> str:
    """The name of a user or a group to be made."""
    if not re.fullmatch(_USER, text) or text.isdigit():
        raise NotOne(f"'{text}' is no user's name", "it is lower case letters, digits, '_' and '-', a letter first")
    return text


def sha256(text: str) -> str:
    """64 hexadecimal digits, in lower case; `sha256:` may stand before them."""
    digits = text.removeprefix("sha256:").lower()
    if not re.fullmatch(r"[0-9a-f]{64}", digits):
        raise NotOne(f"'{text[:20]}' is no sha256", f"expected 64 hexadecimal digits, not {len(digits)} characters")
    return digits


def parameter(text: str) -> str:
    if not _PARAMETER.fullmatch(text):
        raise NotOne(f"'{text}' can't name a parameter", "a name is lower case letters, digits and '_', a letter first")
    return text


def name(text: str) -> str:
    """The name of a recipe, a stage or a secret."""
    if not _NAME.fullmatch(text):
        raise NotOne(f"'{text}' is no name", "a name is letters, digits, '.', '_' and '-', a letter or digit first")
    return text


def variable(text: str) -> str:
    if not _VARIABLE.fullmatch(text):
        raise NotOne(f"'{text}' can't name a variable", "a name is letters, digits and '_', no digit first")
    return text


def label(text: str) -> str:
    if not _LABEL.fullmatch(text):
        raise NotOne(f"'{text}' can't name a label", "a name is letters, digits, '.', '_', '/' and '-'")
    return text


def package(text: str) -> str:
    """A Debian package, `NAME[:ARCH][=VERSION]`."""
    if text.startswith("-"):
        raise NotOne(f"apt takes no '{text}'", "options are attached to the keyword, as in: apt(recommends) PKG")
    if not _PACKAGE.fullmatch(text):
        raise NotOne(f"'{text}' is no Debian package", "a package is NAME or NAME=VERSION, in lower case")
    return text


def url(text: str) -> str:
    if not re.fullmatch(r"https?://\S+", text):
        raise NotOne(f"'{text}' is no URL to fetch", "it starts with https:// or http://")
    return text


def text(text: str) -> str:
    """Any text but none."""
    if not text:
        raise NotOne("a value is missing")
    return text
