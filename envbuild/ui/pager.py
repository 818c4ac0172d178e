"""A pager for what may be longer than the screen, as git has it."""

from __future__ import annotations

from envbuild.contexts import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import TextIO


def pager_of(variables: Mapping[str, str]) -> str:
    """Return the command of the user's pager: `$ENVBUILD_PAGER`, `$PAGER`, else less if it is there; "" for none
    (`cat`)."""
    for name in ("ENVBUILD_PAGER", "PAGER"):
        if name in variables:
            return "" if variables[name].strip() in ("", "cat") else variables[name]
    from shutil import which  # with all compressions: where there is a terminal

    return "less" if which("less") is not None else ""


@contextmanager
def paged(stream: TextIO, variables: Mapping[str, str], *, wanted: bool) -> Iterator[TextIO]:
    """Yield a stream that leads through the user's pager to `stream` if that is a terminal; else `stream` itself.

    Lines reach the pager as they are written, so that the first screen is there before the rest is known. A user who
    leaves the pager early ends the writing: what is left is dropped.
    """
    command = pager_of(variables) if wanted and stream.isatty() else ""
    if not command:
        yield stream
        return
    import subprocess  # as above
    from io import TextIOWrapper

    # As git: leave at once if it fits (F), show colours (R), leave the screen as it is (X).
    environment = {"LESS": "FRX", "LV": "-c", **variables}
    try:
        child = subprocess.Popen(["/bin/sh", "-c", command], stdin=subprocess.PIPE, env=environment)
    except OSError:
        yield stream
        return
    assert child.stdin is not None
    lines = TextIOWrapper(child.stdin, encoding="utf-8", errors="backslashreplace", line_buffering=True)
    try:
        yield lines
    except BrokenPipeError:
        pass
    finally:
        try:
            lines.close()
        except BrokenPipeError:
            pass
        while True:
            try:
                child.wait()
                break
            except KeyboardInterrupt:
                continue  # it is the pager's: less goes on
