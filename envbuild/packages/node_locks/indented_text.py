"""The texts that pnpm and yarn write as locks: maps in maps, by indentation.

Of YAML that is what the two programs write and no more: no anchors, aliases, tags or directives, so that a text can't
become larger than it is. The first version of yarn's lock has the same shape, with a space in place of a colon.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NoReturn

from envbuild.errors import WorkFailed, fields
from envbuild.text.json import loads

MAX_LINES = 500_000
MAX_DEPTH = 16
_MAX_SHOWN = 60
_PLAIN_KEY = re.compile(r"([^\s'\"\[\]{}&*!|>%@`#,][^\n]*?):(?:\s+(.*))?")
_SINGLE = re.compile(r"'((?:[^']|'')*)'")
_DOUBLE = re.compile(r'"(?:[^"\\]|\\.)*"')
_BLOCK = re.compile(r"[|>][0-9+-]{0,2}")
_FLOW = re.compile(
    r"\s*([\[\]{},]|:(?=[\s\[\]{},]|$)|'(?:[^']|'')*'|\"(?:[^\"\\]|\\.)*\"|(?:[^\[\]{},:\s]|:(?=\S)|\s+(?=\S))+)"
)
_REFUSED = "&*!%@`"
"""How anchors, aliases, tags and directives begin, and what else of YAML these programs never write."""


@fields
class BadProjectLock(WorkFailed):
    """A lock of pnpm or yarn can't be used; `line` is 0 for all of it."""

    path: str
    line: int
    reason: str
    hint: str

    def text(self) -> tuple[str, str]:
        place = f"{self.path}:{self.line}" if self.line else self.path
        return f"{place}: {self.reason}", self.hint


class Table:
    """One map of a lock. `lines` are the lines of its keys. Each method raises BadProjectLock."""

    def __init__(self, path: str, line: int) -> None:
        self.path = path
        self.line = line
        self.values: dict[str, Value] = {}
        self.lines: dict[str, int] = {}

    def text(self, name: str, default: str = "") -> str:
        """Return a text; `default` if it is missing."""
        value = self.values.get(name, default)
        return value if isinstance(value, str) else self._wrong(name, "a text")

    def texts(self, name: str) -> tuple[str, ...]:
        """Return the texts of a list, or of a single text."""
        value = self.values.get(name, [])
        if isinstance(value, str):
            return (value,) if value else ()
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(item for item in value if isinstance(item, str))
        return self._wrong(name, "a list of texts")

    def table(self, name: str) -> Table:
        """Return a map; an empty one if it is missing."""
        value = self.values.get(name, "")
        if value == "":
            return Table(self.path, self.lines.get(name, self.line))
        return value if isinstance(value, Table) else self._wrong(name, "a map")

    def tables(self) -> Iterator[tuple[str, Table]]:
        """Yield the names of the map with the maps that they have."""
        for name in self.values:
            yield name, self.table(name)

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Yield the names of the map with the texts that they have."""
        for name in self.values:
            yield name, self.text(name)

    def bad(self, name: str, reason: str, hint: str = "") -> BadProjectLock:
        """Return the error of something at the line of `name`."""
        return BadProjectLock(self.path, self.lines.get(name, self.line), reason, hint or RENEW)

    def _wrong(self, name: str, expected: str) -> NoReturn:
        raise self.bad(name, f"'{name[:_MAX_SHOWN]}' is not {expected}")


Value = str | list["Value"] | Table
RENEW = "take back a version of it that git has, or let the program that wrote it write it anew"


def read(path: str, content: bytes, *, colons: bool = True) -> Table:
    """Return what a lock says; of several documents, what the last one says. Without `colons` names and values stand
    apart by a space. Raises BadProjectLock."""
    return _Reader(path, content, colons).read()


class _Reader:
    def __init__(self, path: str, content: bytes, colons: bool) -> None:
        self._path = path
        self._colons = colons
        self._rows: list[tuple[int, int, str]] = []
        try:
            lines = content.decode().split("\n")
        except UnicodeDecodeError:
            raise BadProjectLock(path, 0, "it is not UTF-8 text", RENEW) from None
        if len(lines) > MAX_LINES:
            raise BadProjectLock(path, 0, f"it has more than {MAX_LINES:,} lines", RENEW)
        self._lines = lines
        self._at = 0

    def read(self) -> Table:
        number = 0
        while number < len(self._lines):
            line = self._lines[number]
            number += 1
            text = line.strip()
            if line.startswith(("<<<<<<<", "=======", ">>>>>>>")):
                self._fail(number, "git's marks of a conflict are in it", "merge it with its own program first")
            if text == "---":
                self._rows.clear()
            elif text and not text.startswith("#"):
                indent = len(line) - len(line.lstrip(" "))
                if line[indent] == "\t":
                    self._fail(number, "it is indented with a tab")
                if self._colons and text.startswith(("? ", ": ")):
                    # A long key stands alone, and what it has after a colon of its own.
                    if text[0] == "?":
                        self._rows.append((number, indent, f"{text[2:].strip()}:"))
                    else:
                        self._rows.append((number, indent + 2, text[2:].strip()))
                else:
                    self._rows.append((number, indent, text))
                if self._colons and _BLOCK.fullmatch(text.rpartition(": ")[2]):
                    number = self._skip(number, indent)
        if not self._rows:
            return Table(self._path, 1)
        table = self._table(self._rows[0][1], 1)
        if self._at < len(self._rows):
            self._fail(self._rows[self._at][0], "it is indented less than what it belongs to")
        return table

    def _skip(self, number: int, indent: int) -> int:
        """Return the line at which a text of several lines ends: what it says is of no use here."""
        while number < len(self._lines):
            line = self._lines[number]
            if line.strip() and len(line) - len(line.lstrip(" ")) <= indent:
                break
            number += 1
        return number

    def _table(self, indent: int, depth: int) -> Table:
        table = Table(self._path, self._rows[self._at][0])
        while self._at < len(self._rows):
            number, column, text = self._rows[self._at]
            if column < indent:
                break
            if column > indent:
                self._fail(number, "it is indented more than what it belongs to")
            self._at += 1
            key, rest = self._entry(number, text)
            if key in table.values:
                self._fail(number, f"'{key[:_MAX_SHOWN]}' is there twice")
            table.lines[key] = number
            table.values[key] = self._below(indent, depth) if rest is None else self._value(number, rest)
        return table

    def _below(self, indent: int, depth: int) -> Value:
        """Return what stands below a key that has nothing beside it."""
        if self._at == len(self._rows):
            return ""
        number, column, text = self._rows[self._at]
        if self._colons and column >= indent and text.startswith("- "):
            items: list[Value] = []
            while self._at < len(self._rows) and self._rows[self._at][1:2] == (column,):
                number, _, text = self._rows[self._at]
                if not text.startswith("- "):
                    break
                items.append(self._value(number, text[2:].strip()))
                self._at += 1
            return items
        if column <= indent:
            return ""
        if depth == MAX_DEPTH:
            self._fail(number, "it is nested too deeply")
        return self._table(column, depth + 1)

    def _entry(self, number: int, text: str) -> tuple[str, str | None]:
        """Return the key of a line, and what stands beside it, None for nothing."""
        if not self._colons and text.endswith(":"):
            return text[:-1], None
        quoted = _SINGLE.match(text) or _DOUBLE.match(text)
        if quoted is None and self._colons:
            plain = _PLAIN_KEY.fullmatch(text)
            if plain is None:
                self._fail(number, f"'{text[:_MAX_SHOWN]}' is not a name and a value")
            return plain[1], plain[2] or None
        if quoted is not None:
            key, rest = self._unquoted(number, quoted[0]), text[quoted.end() :]
        else:
            key, space, rest = text.partition(" ")
            rest = space + rest
        mark = ":" if self._colons else " "
        if not rest.startswith(mark) or (self._colons and rest[1:2].strip()):
            self._fail(number, f"'{text[:_MAX_SHOWN]}' is not a name and a value")
        return key, rest[1:].strip() or None

    def _value(self, number: int, text: str) -> Value:
        if text[0] in "'\"":
            quoted = _SINGLE.fullmatch(text) or _DOUBLE.fullmatch(text)
            if quoted is None:
                self._fail(number, "a quote has no end")
            return self._unquoted(number, text)
        if not self._colons:
            return text
        if text[0] in "{[":
            return self._flow(number, text)
        if _BLOCK.fullmatch(text):
            return ""
        if text[0] in _REFUSED:
            self._fail(number, "anchors, aliases and tags of YAML are not read")
        return text.partition(" #")[0].rstrip()

    def _unquoted(self, number: int, text: str) -> str:
        if text[0] == "'":
            return text[1:-1].replace("''", "'")
        try:
            plain = loads(text)
        except ValueError:
            self._fail(number, f"{text[:_MAX_SHOWN]} is not a text")
        return str(plain)

    def _flow(self, number: int, text: str) -> Value:
        """Return the map or list that stands on one line."""
        tokens: list[str] = []
        at = 0
        while at < len(text.rstrip()):
            match = _FLOW.match(text, at)
            if match is None:
                self._fail(number, f"'{text[at : at + _MAX_SHOWN]}' can't be read")
            tokens.append(match[1].strip())
            at = match.end()
        value, end = self._flow_value(number, tokens, 0, 1)
        if end != len(tokens):
            self._fail(number, "something stands after a list or map")
        return value

    def _flow_value(self, number: int, tokens: list[str], at: int, depth: int) -> tuple[Value, int]:
        opening = tokens[at] if at < len(tokens) else ""
        if depth == MAX_DEPTH:
            self._fail(number, "it is nested too deeply")
        if opening not in ("[", "{"):
            if not opening or opening in ("]", "}", ",", ":") or opening[0] in _REFUSED:
                self._fail(number, "a list or map can't be read")
            return self._unquoted(number, opening) if opening[0] in "'\"" else opening, at + 1
        items: list[Value] = []
        table = Table(self._path, number)
        closing = "]" if opening == "[" else "}"
        at += 1
        while at < len(tokens) and tokens[at] != closing:
            value, at = self._flow_value(number, tokens, at, depth + 1)
            if opening == "{":
                if not isinstance(value, str) or tokens[at : at + 1] != [":"] or value in table.values:
                    self._fail(number, "a map can't be read")
                table.lines[value] = number
                table.values[value], at = self._flow_value(number, tokens, at + 1, depth + 1)
            else:
                items.append(value)
            if tokens[at : at + 1] == [","]:
                at += 1
            elif tokens[at : at + 1] != [closing]:
                self._fail(number, "a list or map has no end")
        if at == len(tokens):
            self._fail(number, "a list or map has no end")
        return items if opening == "[" else table, at + 1

    def _fail(self, number: int, reason: str, hint: str = RENEW) -> NoReturn:
        raise BadProjectLock(self._path, number, reason, hint)
