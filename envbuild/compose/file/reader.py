"""Reading values out of nodes, with checks. An error is recorded with its place, and reading goes on."""

from __future__ import annotations

import os

from envbuild.compose.file.interpolate import BadReference, interpolate
from envbuild.compose.file.model import diagnostic
from envbuild.compose.file.values import clear
from envbuild.compose.file.yaml_nodes import Entry, List, Map, Node, Text
from envbuild.errors import UsageError, fields
from envbuild.language.syntax import Span
from envbuild.language.values import InvalidValue
from envbuild.text.diagnostics import Diagnostic, render
from envbuild.text.suggestion import did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import TypeVar

    Value = TypeVar("Value")


MAX_DIAGNOSTICS = 100


@fields
class ServiceErrors(UsageError):
    """All errors in a compose file. The message is the rendered text."""

    diagnostics: Sequence[Diagnostic]

    def text(self) -> tuple[str, str]:
        return render(self.diagnostics), ""


class Reader:
    """A compose file while it is read. `variables` are the user's and those of `.env`."""

    def __init__(self, file: str, text: str, variables: Mapping[str, str], home: str) -> None:
        self.file = file
        self.folder = os.path.dirname(os.path.abspath(file))
        self.lines = tuple(text.split("\n"))
        self.variables = variables
        self.home = home
        self.errors: list[Diagnostic] = []
        self.notes: list[Diagnostic] = []

    def error(self, span: Span, message: str, hint: str = "") -> None:
        """Tell of a mistake; what an alias repeats is told once."""
        self._add(self.errors, diagnostic(self.file, self.lines, span, message, hint))

    def note(self, span: Span, message: str, hint: str = "", severity: str = "note") -> None:
        """Tell of something that is no mistake."""
        self._add(self.notes, diagnostic(self.file, self.lines, span, message, hint, severity))

    def finish(self) -> None:
        """Raise ServiceErrors if there were mistakes, in the order of their lines."""
        if self.errors:
            raise ServiceErrors(sorted(self.errors, key=lambda error: (error.line, error.column)))

    def text(self, node: Node, what: str) -> str | None:
        """Return the text of a word with its variables put in.

        None, and an error, if it is a list, a map or nothing.
        """
        if not isinstance(node, Text) or node.is_nothing:
            self.error(node.span, f"{what} has to be a text", "")
            return None
        try:
            return interpolate(node.text, self.variables, lambda name: self._unset(node, name))
        except BadReference as wrong:
            self.error(self._within(node, wrong.start, wrong.length), wrong.message, wrong.hint)
            return None

    def checked(self, check: Callable[[str], Value], node: Node, what: str) -> Value | None:
        """Return what `check` makes of a text; None, and an error, if it is none for it."""
        text = self.text(node, what)
        if text is None:
            return None
        try:
            return check(text)
        except InvalidValue as wrong:
            self.error(node.span, wrong.message, wrong.hint)
            return None

    def value(self, node: Node, what: str) -> str | None:
        """Return a text that is used as it is, so that it must not be a number that readers of YAML write anew."""
        plain = isinstance(node, Text) and node.plain
        return self.checked(clear if plain else str, node, what)

    def entries(
        self, node: Node, what: str, known: Iterable[str] = (), absent: Mapping[str, str] | None = None
    ) -> tuple[Entry, ...]:
        """Return the entries of a map, none for nothing.

        With `known`, each other key is an error; `x-...` are left out. `absent` are keys that compose has and we have
        not, with what to do instead.
        """
        if isinstance(node, Text) and node.is_nothing:
            return ()
        if not isinstance(node, Map):
            self.error(node.span, f"{what} has to be a map", "as in: KEY: VALUE, a line each")
            return ()
        known = tuple(known)
        if not known:
            return node.entries
        for entry in node.entries:
            name = entry.key.text
            if absent and name in absent:
                self.error(entry.key.span, f"'{name}' of {what} is not supported here", absent[name])
            elif name not in known and not name.startswith("x-"):
                hint = did_you_mean(name, known, f"{what} has: {', '.join(sorted(known))}" if len(known) < 9 else "")
                self.error(entry.key.span, f"unknown key '{name}' in {what}", hint)
        return tuple(entry for entry in node.entries if entry.key.text in known)

    def items(self, node: Node, what: str) -> tuple[Node, ...]:
        """Return the items of a list, none for nothing."""
        if isinstance(node, Text) and node.is_nothing:
            return ()
        if not isinstance(node, List):
            self.error(node.span, f"{what} has to be a list", "as in: [A, B], or lines that start with '- '")
            return ()
        return node.items

    def texts(self, node: Node, what: str) -> tuple[str, ...]:
        """Return the texts of a list."""
        values = [self.value(item, f"each part of {what}") for item in self.items(node, what)]
        return tuple(value for value in values if value is not None)

    def pairs(self, node: Node, what: str) -> tuple[tuple[str, str | None, Span], ...]:
        """Return (name, value, place) of a map or of a list of NAME=VALUE; the value is None where there is none."""
        pairs: list[tuple[str, str | None, Span]] = []
        if isinstance(node, List):
            for item in node.items:
                text = self.text(item, f"each part of {what}")
                if text is not None:
                    name, equals, value = text.partition("=")
                    pairs.append((name, value if equals else None, item.span))
            return tuple(pairs)
        for entry in self.entries(node, what):
            nothing = isinstance(entry.value, Text) and entry.value.is_nothing
            value_ = None if nothing else self.value(entry.value, f"the value of {entry.key.text}")
            if nothing or value_ is not None:
                pairs.append((entry.key.text, value_, entry.key.span))
        return tuple(pairs)

    def host_path(self, text: str) -> str:
        """Return a path of the host: relative to the file's folder, `~` is the user's home."""
        if text == "~" or text.startswith("~/"):
            text = self.home + text[1:]
        return os.path.normpath(os.path.join(self.folder, text))

    def shown_path(self, path: str) -> str:
        """Return a path of the host as it is told: from the current folder, if that is shorter."""
        return min(os.path.relpath(path), path, key=len)

    def _unset(self, node: Text, name: str) -> None:
        at = max(0, node.text.find(f"${name}"), node.text.find(f"${{{name}"))
        hint = f"an empty text takes its place; ${{{name}:-DEFAULT}} gives another one"
        self.note(self._within(node, at, len(name) + 1), f"the variable {name} is not set", hint, "warning")

    def _within(self, node: Text, start: int, length: int) -> Span:
        """Return the place of a part of a text, if it stands in the file as it is; else of the text."""
        line = self.lines[node.span.line - 1]
        column = node.span.column + (not node.plain) + start
        if line[column - 1 :].startswith(node.text[start : start + length]):
            return Span(node.span.line, column, length)
        return node.span

    def _add(self, diagnostics: list[Diagnostic], new: Diagnostic) -> None:
        # A limit, as each new one is compared with all before; after a hundred, more would not help.
        if len(diagnostics) < MAX_DIAGNOSTICS and new not in diagnostics:
            diagnostics.append(new)
