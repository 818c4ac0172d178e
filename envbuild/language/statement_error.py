"""What an error that a statement leads to looks like: as the language's own, with file, line and caret."""

from __future__ import annotations

from envbuild.errors import EnvbuildError
from envbuild.language.statement_parts import Place
from envbuild.text.diagnostics import Diagnostic, render

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def point_at(error: EnvbuildError, place: Place, text: str, words: Sequence[str] = ()) -> None:
    """Have an error shown with its statement, which has this `text`.

    The caret stands under that of the statement's `words` which the error is about, under its first line if none can be
    found in the text: it may come from a parameter.
    """
    lines = text.split("\n")
    word = _word(error, words)
    import re  # the module is loaded with what runs steps, and most have no error

    match = re.search(rf"(?<![\w./-]){re.escape(word)}(?![\w./-])", text) if word else None
    if match is None:
        line, column, length = 0, 1, len(lines[0].rstrip())
    else:
        before = text[: match.start()]
        line, column, length = before.count("\n"), match.start() - before.rfind("\n"), len(word)
    _show(error, place, lines, place.line + line, column, length)


def point_at_reference(error: EnvbuildError, place: Place, text: str, line: int, column: int) -> None:
    """Have an error shown with its statement, the caret under the `${...}` that stands at a line and column of the
    file."""
    lines = text.split("\n")
    offset = line - place.line
    source = lines[offset] if 0 <= offset < len(lines) else ""
    end = source.find("}", column)
    _show(error, place, lines, line, column, max(1, end - column + 2))


def _word(error: EnvbuildError, words: Sequence[str]) -> str:
    """Return the word that an error is about: one that is a field of it, else the longest one that it mentions."""
    fields = [getattr(error, name) for name in error.__match_args__]
    exact = [word for word in words if word in fields]
    mentioned = sorted((word for word in words if word in error.message), key=len, reverse=True)
    return next(iter([*exact, *mentioned, *words]), "")


def _show(error: EnvbuildError, place: Place, lines: Sequence[str], line: int, column: int, length: int) -> None:
    offset = line - place.line
    source = lines[offset] if 0 <= offset < len(lines) else ""
    message = error.message.removeprefix(f"{place.file}:{line}:").removeprefix(f"{column}:").lstrip()
    error.excerpt = render([Diagnostic(message, place.file, line, column, length, error.hint, (), source)])
