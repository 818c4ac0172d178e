"""Errors as the user sees them: those that the user can mend, and bugs of ours."""

from __future__ import annotations

from envbuild.errors import EnvbuildError, Interrupted
from envbuild.ui.build_messages import hint_lines
from envbuild.ui.sanitize import clean, visible
from envbuild.ui.stream import Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

_PREFIXES = ("error:", "warning:", "note:")


def render_error(error: EnvbuildError, stream: TextIO, colour: bool = False) -> None:
    """Write `error: MESSAGE` and, in lines of its own, `hint: HINT`.

    The message of a recipe's errors is whole already, with several `error:` in it, and is left as it is. So is that of
    an error which is shown with its statement.
    """
    output = Output(stream, colour)
    message = clean(error.excerpt or error.message).rstrip("\n")
    if not message.startswith("error:") and not isinstance(error, Interrupted):
        message = f"error: {message}"
    lines = [_painted(line, output) for line in message.split("\n")]
    output.write_lines(lines + hint_lines("" if error.excerpt else error.hint, output))


def render_bug(error: BaseException, saved_path: str | None, stream: TextIO, colour: bool = False) -> None:
    """Say that envbuild itself went wrong, and where the traceback is (None if it could not be saved)."""
    output = Output(stream, colour)
    what = visible(f"{type(error).__name__}: {error}".removesuffix(": "))
    lines = [f"{output.paint('error:', 'error')} this is a bug in envbuild ({what})"]
    if saved_path:
        hint = f"the traceback is in {visible(saved_path)}; please report the bug with that file"
    else:
        hint = "the traceback could not be saved; please report the bug with the command that you ran"
    output.write_lines(lines + hint_lines(hint, output))


def _painted(line: str, output: Output) -> str:
    for prefix in _PREFIXES:
        if line.startswith(prefix):
            return output.paint(prefix, prefix[:-1]) + line[len(prefix) :]
    return line
