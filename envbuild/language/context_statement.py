"""The statement `context DIR`: the directory that a file's statements take their files from."""

from __future__ import annotations

import errno
import os

from envbuild.language import values
from envbuild.language.reader import Reader
from envbuild.language.syntax import StatementSyntax

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_FORM = "as in: context .."


def read_context(statement: StatementSyntax, reader: Reader, look: Callable[[str], object]) -> None:
    """Set the reader's context to what the statement says; report what is wrong with it. `look` raises OSError for a
    path that can't be one."""
    words = statement.words
    if len(words) != 1:
        reader.error(words[1].span if words else statement.span, "context takes one directory", _FORM)
        return
    if reader.context_at:
        hint = f"the first is that of line {reader.context_at}"
        reader.error(statement.span, "the file has two contexts", hint)
        return
    if reader.taken_by:
        reader.error(statement.span, f"context stands after '{reader.taken_by}'", "it belongs at the top of its file")
        return
    reader.context_at = statement.span.line
    span = words[0].span
    text = reader.expand(words[0])
    if text is None or reader.checked(values.path, text, span) is None:
        return
    if os.path.isabs(text):
        reader.error(span, f"'{text}' is an absolute path", f"a context is relative to its file, {_FORM}")
        return
    reader.context = os.path.join(reader.folder, text)
    try:
        look(reader.context)
    except OSError as error:
        reader.error(span, *_problem(text, error))


def _problem(text: str, error: OSError) -> tuple[str, str]:
    """Return what is wrong with a context, and the way out."""
    match error.errno:
        case errno.ENOENT:
            return f"there is no directory '{text}'", "the path is relative to this file"
        case errno.ENOTDIR:
            return f"'{text}' is not a directory", _FORM
        case errno.EXDEV:
            hint = "a context lies in the git repository of the recipe; without one, in the recipe's directory"
            return f"the context '{text}' can't be used: {error.strerror}", hint
        case _:
            return f"the context '{text}' can't be used: {error.strerror or error}", ""
