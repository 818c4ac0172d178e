"""Files of variables: `.env` beside the compose file, and those that `env_file` names."""

from __future__ import annotations

import re
from collections import ChainMap

from envbuild.compose.file.interpolate import BadReference, interpolate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = re.compile(r"(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.-]*)[ \t]*")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"', "$": "$$"}


MAX_BYTES = 1_000_000
"""Bytes that such a file may have."""


class BadVariables(Exception):
    """An error in line `line` of such a file, or in all of it (0)."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line, self.message = line, message

    def at(self, path: str) -> str:
        """Return the message with its place in the file at `path`."""
        return f"{path}:{self.line}: {self.message}" if self.line else f"{path} can't be read: {self.message}"


def read_variables(path: str, known: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of the file at `path`.

    Raises FileNotFoundError, and BadVariables for one that can't be read.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise BadVariables(0, error.strerror or str(error)) from None
    if len(content) > MAX_BYTES:
        raise BadVariables(0, f"it has more than {MAX_BYTES:,} bytes")
    try:
        return parse_variables(content.decode("utf-8-sig").replace("\r\n", "\n"), known)
    except UnicodeDecodeError as error:
        raise BadVariables(content.count(b"\n", 0, error.start) + 1, "it is not UTF-8") from None


def parse_variables(text: str, known: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a file. A name without `=` has its value from `known`, and is left out if that lacks it.

    Values in double quotes, and those without, may refer to `known` and to those above; in single quotes all stands for
    itself. Quoted values may go over several lines. Raises BadVariables.
    """
    if (at := text.find("\0")) >= 0:
        raise BadVariables(text.count("\n", 0, at) + 1, "a variable can't hold the character U+0000")
    variables: dict[str, str] = {}
    values = ChainMap(dict(known), variables)
    at = counted = 0
    number = 1
    while at < len(text):
        number += text.count("\n", counted, at)
        counted = at
        end = _end_of_line(text, at)
        line = text[at:end].strip()
        if not line or line.startswith("#"):
            at = end + 1
            continue
        start = at + len(text[at:end]) - len(text[at:end].lstrip())
        name = _NAME.match(text, start)
        follows = text[name.end() : name.end() + 1] if name else ""
        if name is None or follows not in ("", "=", ":", "\n", "\r"):
            raise BadVariables(number, "a line is NAME=VALUE")
        if follows not in ("=", ":"):
            if name[1] in known:
                variables[name[1]] = known[name[1]]
            at = end + 1
            continue
        value, at = _value(text, name.end() + 1, number, values)
        variables[name[1]] = value
    return variables


def _value(text: str, at: int, number: int, known: Mapping[str, str]) -> tuple[str, int]:
    """Return the value that begins at `at`, and where the next line does."""
    while text[at : at + 1] in (" ", "\t"):
        at += 1
    quote = text[at : at + 1]
    if quote not in ("'", '"'):
        end = _end_of_line(text, at)
        plain = re.split(r"(?:^|[ \t])#", text[at:end], maxsplit=1)[0].strip()
        return _replaced(plain, number, known), end + 1
    closing = at + 1
    while closing < len(text) and text[closing] != quote:
        closing += 2 if quote == '"' and text[closing] == "\\" else 1
    if closing >= len(text):
        raise BadVariables(number, "a quote is not closed")
    end = _end_of_line(text, closing)
    rest = text[closing + 1 : end].strip()
    if rest and not rest.startswith("#"):
        raise BadVariables(number, "something follows a closed quote")
    inner = text[at + 1 : closing]
    if quote == "'":
        return inner, end + 1
    inner = re.sub(r"\\(.)", lambda escape: _ESCAPES.get(escape[1], escape[0]), inner, flags=re.DOTALL)
    return _replaced(inner, number, known), end + 1


def _replaced(value: str, number: int, known: Mapping[str, str]) -> str:
    try:
        return interpolate(value, known, lambda name: None)
    except BadReference as wrong:
        raise BadVariables(number, wrong.message) from None


def _end_of_line(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end
