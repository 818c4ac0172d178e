"""Words with a type: durations, modes, ports, signals, names, paths.

Each function takes a word's text and returns its value, or raises InvalidValue with what was expected.
"""

from __future__ import annotations

from envbuild.linux.signal_names import KNOWN, signal_name, signal_number
from envbuild.text.pattern import Pattern
from envbuild.text.suggestion import did_you_mean
from envbuild.tree.file_mode import Mode, is_change

# ASCII digits, and not too many: Python's float and int accept other digits too, and any number of them.
_DURATION = Pattern(r"(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m)?(?:([0-9]{1,9}(?:\.[0-9]{1,9})?)s)?|([0-9]{1,12})ms")
_USER = r"(?:[a-z_][a-z0-9_-]{0,31}|[0-9]{1,10})"
_OWNER = Pattern(f"{_USER}(:{_USER})?")
_USER_NAME = Pattern(_USER)
_MODE = Pattern(r"0?[0-7]{3,4}")
_COUNT = Pattern(r"[0-9]{1,9}")
_ID = Pattern(r"[0-9]{1,10}")
_SHA256 = Pattern(r"[0-9a-f]{64}")
_URL = Pattern(r"https?://\S+")
_GIT_FORM = Pattern(r"https?://[^\s?#]+\.git/?(?:$|#)|(?:git|ssh)://|[A-Za-z0-9._-]+@[A-Za-z0-9.-]+:[^\s]")
"""What a file's address does not look like, and docker takes for that of a git repository."""
_PARAMETER = Pattern(r"[a-z][a-z0-9_]*")
_NAME = Pattern(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_VARIABLE = Pattern(r"[A-Za-z_][A-Za-z0-9_]*")
_LABEL = Pattern(r"[A-Za-z0-9][A-Za-z0-9._/-]*")
_PACKAGE = Pattern(r"[a-z0-9][a-z0-9+.-]*[a-z0-9+.](:[a-z0-9-]+)?(=[A-Za-z0-9.+~:*-]+)?")
_DEVICE = Pattern(r"/dev/[A-Za-z0-9_][A-Za-z0-9_.:+@/-]{0,200}(?<!/)")
_PLATFORM = Pattern(r"linux/[a-z0-9_]{1,32}(/[a-z0-9_]{1,32})?")
MAX_ID = 2**32 - 2
MAX_PORTS = 1000
"""Of one range."""
NODE_MANAGERS = ("npm", "pnpm", "yarn")
NO_INIT = "none"
INITS = ("envbuild", NO_INIT)


class InvalidValue(Exception):
    """A text that is not a valid value: `message` says what is wrong, `hint` what was expected."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def duration(text: str) -> float:
    """Return the seconds of `90s`, `10m`, `1h30m`, `0.5s` or `250ms`; more than 0."""
    match = _DURATION.fullmatch(text)
    if not text or not match:
        raise InvalidValue(f"'{text}' is not a valid duration", "a duration is written 90s, 10m or 1h30m")
    hours, minutes, seconds, thousandths = match.groups()
    total = 3600.0 * int(hours or 0) + 60.0 * int(minutes or 0) + float(seconds or 0) + int(thousandths or 0) / 1000
    if not 0 < total < 1e9:
        raise InvalidValue(f"'{text}' is not a valid duration", "it must be more than 0s and less than 30 years")
    return total


def node_manager(text: str) -> str:
    """Return the name of a program that writes a lock of Node packages."""
    if text not in NODE_MANAGERS:
        raise InvalidValue(
            f"npm knows no manager '{text}'",
            did_you_mean(text, NODE_MANAGERS, f"it can be: {', '.join(NODE_MANAGERS)}"),
        )
    return text


def mode(text: str) -> int:
    """Return the permission bits of three or four octal digits: `644`, `0755`, `4755`."""
    if not _MODE.fullmatch(text):
        raise InvalidValue(f"'{text}' is not a valid file mode", "a mode is octal, such as 0644 or 0755")
    return int(text, 8)


def file_mode(text: str) -> Mode:
    """Return the mode of files: as `mode` does, or a change such as `u+x,go-w`."""
    if any(letter in text for letter in "+-=") and is_change(text):
        return text
    if text.isdigit():
        return mode(text)
    raise InvalidValue(f"'{text}' is not a valid file mode", 'a mode is octal, such as 0644, or a change: "u+x,go-w"')


def count(text: str) -> int:
    """Return a whole number of at least 1."""
    if not _COUNT.fullmatch(text) or int(text) < 1:
        raise InvalidValue(f"'{text}' is not a valid count", "expected a whole number of at least 1")
    return int(text)


def identity(text: str) -> int:
    """Return a user or group id."""
    if not _ID.fullmatch(text) or int(text) > MAX_ID:
        raise InvalidValue(f"'{text}' is not a valid user or group id", f"expected a whole number from 0 to {MAX_ID}")
    return int(text)


def port(text: str) -> str:
    """Return `PORT/PROTOCOL`; tcp if no protocol is given."""
    number, slash, protocol = text.partition("/")
    if not _COUNT.fullmatch(number) or not 1 <= int(number) <= 65535:
        raise InvalidValue(f"'{number}' is not a valid port", "a port is a number from 1 to 65535")
    if slash and protocol not in ("tcp", "udp"):
        raise InvalidValue(f"'{protocol}' is not a valid protocol", "a port's protocol is tcp or udp, as in 8080/tcp")
    return f"{int(number)}/{protocol or 'tcp'}"


def ports(text: str) -> tuple[str, ...]:
    """Return `PORT/PROTOCOL` for a port, and for each of `FIRST-LAST`."""
    numbers, slash, protocol = text.partition("/")
    first, dash, last = numbers.partition("-")
    if not dash:
        return (port(text),)
    ends = port(first + slash + protocol), port(last + slash + protocol)
    begin, end = (int(name.partition("/")[0]) for name in ends)
    if not begin <= end < begin + MAX_PORTS:
        raise InvalidValue(
            f"'{numbers}' is not a valid range of ports",
            f"as in 8000-8005: the first one first, and {MAX_PORTS} at most",
        )
    return tuple(port(f"{number}{slash}{protocol}") for number in range(begin, end + 1))


def signal(text: str) -> str:
    """Return a signal's name without SIG: of `TERM`, `SIGTERM`, `15` or `SIGRTMIN+3`."""
    number = signal_number(text)
    if not number:
        hint = did_you_mean(text.upper().removeprefix("SIG"), KNOWN, "give its name, such as TERM, INT or QUIT")
        raise InvalidValue(f"unknown signal '{text}'", hint)
    return signal_name(number)


def init(text: str) -> str:
    """Return which process is process 1: `envbuild` for its own, `none` for the command itself."""
    if text not in INITS:
        raise InvalidValue(f"'{text}' is not a valid init", did_you_mean(text, INITS, "write init=none"))
    return text


def absolute(text: str) -> str:
    """Return a path from the root of the environment."""
    if not text.startswith("/"):
        raise InvalidValue(f"'{text}' is not an absolute path", "a path in the environment starts with '/'")
    return path(text)


def device(text: str) -> str:
    """Return the path of a device, in its one form."""
    if not _DEVICE.fullmatch(text) or "/." in text or "//" in text:
        raise InvalidValue(f"'{text}' is not the path of a device", "as in: device=/dev/fuse, device=/dev/net/tun")
    return text


def platform(text: str) -> str:
    """Return what says for which machine an image is, in OCI's words: `linux/arm64` or `linux/arm/v7`."""
    if not _PLATFORM.fullmatch(text):
        raise InvalidValue(f"'{text}' is not a valid platform", "as in: platform=linux/arm64")
    return text


def path(text: str) -> str:
    """Return a path that is not empty."""
    if not text or "\0" in text:
        raise InvalidValue("a path can't be empty")
    return text


def owner(text: str) -> str:
    """Return `NAME` or `NAME:GROUP`, where both may be numbers."""
    if not _OWNER.fullmatch(text):
        raise InvalidValue(f"'{text}' is not a valid user", "a user is NAME or NAME:GROUP, in lower case, or numbers")
    return text


def user(text: str) -> str:
    """Return the name of a user or group to create."""
    if not _USER_NAME.fullmatch(text) or text.isdigit():
        raise InvalidValue(
            f"'{text}' is not a valid user name", "use lower case letters, digits, '_' and '-', a letter first"
        )
    return text


def sha256(text: str) -> str:
    """Return 64 hexadecimal digits in lower case, without the prefix `sha256:`."""
    digits = text.removeprefix("sha256:").lower()
    if not _SHA256.fullmatch(digits):
        raise InvalidValue(
            f"'{text[:20]}' is not a valid sha256 digest",
            f"expected 64 hexadecimal digits, not {len(digits)} characters",
        )
    return digits


def parameter(text: str) -> str:
    """Return the name of a parameter."""
    if not _PARAMETER.fullmatch(text):
        raise InvalidValue(
            f"'{text}' is not a valid parameter name", "use lower case letters, digits and '_', a letter first"
        )
    return text


def name(text: str) -> str:
    """Return the name of a recipe, a stage or a secret."""
    if not _NAME.fullmatch(text):
        raise InvalidValue(
            f"'{text}' is not a valid name", "use letters, digits, '.', '_' and '-', a letter or digit first"
        )
    return text


def variable(text: str) -> str:
    """Return the name of an environment variable."""
    if not _VARIABLE.fullmatch(text):
        raise InvalidValue(f"'{text}' is not a valid variable name", "use letters, digits and '_', no digit first")
    return text


def label(text: str) -> str:
    """Return the name of a label."""
    if not _LABEL.fullmatch(text):
        raise InvalidValue(f"'{text}' is not a valid label name", "use letters, digits, '.', '_', '/' and '-'")
    return text


def package(text: str) -> str:
    """Return a Debian package, `NAME[:ARCH][=VERSION]`."""
    if text.startswith("-"):
        raise InvalidValue(f"apt does not take '{text}'", "attach options to the keyword, as in: apt(recommends) PKG")
    if not _PACKAGE.fullmatch(text):
        raise InvalidValue(
            f"'{text}' is not a valid Debian package", "a package is NAME or NAME=VERSION, in lower case"
        )
    return text


def url(text: str) -> str:
    """Return a URL that can be fetched."""
    if _GIT_FORM.match(text):
        shape = "as in: fetch git+https://HOST/REPOSITORY@COMMIT -> DIRECTORY"
        raise InvalidValue(f"'{text}' is a git repository, and not a file", shape)
    if not _URL.fullmatch(text):
        raise InvalidValue(f"'{text}' is not a URL that can be fetched", "it must start with https:// or http://")
    return text


def text(text: str) -> str:
    """Return a text that is not empty."""
    if not text:
        raise InvalidValue("a value is missing")
    return text
