"""Variables in a text, as compose has them: `$NAME`, `${NAME}`, `${NAME:-default}` and the like."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_CHARACTERS = 1_000_000
"""Of a text after its variables are put in: each of a few lines may double what the one above it came to."""
MAX_DEPTH = 50
"""References within defaults of references."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATORS = (":-", "-", ":?", "?", ":+", "+")


class BadReference(Exception):
    """An invalid reference, or one to a required variable that is not set: `length` characters from `start` on."""

    def __init__(self, start: int, length: int, message: str, hint: str) -> None:
        super().__init__(message)
        self.start, self.length, self.message, self.hint = start, length, message, hint


def interpolate(text: str, variables: Mapping[str, str], unset: Callable[[str], None]) -> str:
    """Return the text with its variables put in; `$$` is a `$`.

    `unset` is called with each variable that has neither a value nor a default, and is taken as empty.

    Raises BadReference.
    """
    return _interpolated(text, variables, unset, 0)


def _interpolated(text: str, variables: Mapping[str, str], unset: Callable[[str], None], depth: int) -> str:
    parts, at, length = [], 0, len(text)
    while (dollar := text.find("$", at)) >= 0:
        parts.append(text[at:dollar])
        if depth > MAX_DEPTH:
            raise BadReference(dollar, 2, "references are nested too deep", "give the inner ones names of their own")
        value, at = _reference(text, dollar, variables, unset, depth)
        length += len(value)
        if length > MAX_CHARACTERS:
            message = f"with its variables the text has more than {MAX_CHARACTERS:,} characters"
            raise BadReference(dollar, at - dollar, message, "does a variable refer to itself?")
        parts.append(value)
    return "".join([*parts, text[at:]])


def _reference(
    text: str, start: int, variables: Mapping[str, str], unset: Callable[[str], None], depth: int
) -> tuple[str, int]:
    """Return the value of the reference at `start`, and where it ends."""
    if text.startswith("$$", start):
        return "$", start + 2
    braced = text.startswith("${", start)
    name = _NAME.match(text, start + 1 + braced)
    if name is None:
        raise BadReference(start, 1 + braced, "no name of a variable follows this '$'", "write $$ for the sign itself")
    if not braced:
        return _plain(name[0], variables, unset), name.end()
    end = _closing(text, start)
    inner = text[name.end() : end]
    if not inner:
        return _plain(name[0], variables, unset), end + 1
    operator = next((operator for operator in _OPERATORS if inner.startswith(operator)), "")
    if not operator:
        hint = "as in ${NAME:-default}; write $$ for the sign itself"
        raise BadReference(start, end + 1 - start, f"'{inner[0]}' can't follow a variable's name", hint)
    word = inner[len(operator) :]
    value = variables.get(name[0])
    there = value is not None and (value != "" or not operator.startswith(":"))
    if operator.endswith("?") and not there:
        reason = _interpolated(word, variables, unset, depth + 1)
        message = f"the variable {name[0]} is not set" + (f": {reason}" if reason else "")
        raise BadReference(start, end + 1 - start, message, "set it, or write it into the file .env")
    if operator.endswith("+"):
        return _interpolated(word, variables, unset, depth + 1) if there else "", end + 1
    return (str(value) if there else _interpolated(word, variables, unset, depth + 1)), end + 1


def _plain(name: str, variables: Mapping[str, str], unset: Callable[[str], None]) -> str:
    if name not in variables:
        unset(name)
    return variables.get(name, "")


def _closing(text: str, start: int) -> int:
    depth, at = 0, start
    while at < len(text):
        if text.startswith("$$", at):
            at += 2
        elif text.startswith("${", at):
            depth += 1
            at += 2
        elif text[at] == "}":
            depth -= 1
            if depth == 0:
                return at
            at += 1
        else:
            at += 1
    raise BadReference(start, 2, "this '${' is not closed", "write $$ for the sign itself")
