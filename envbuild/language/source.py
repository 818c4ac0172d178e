"""A recipe's bytes as lines of text, and the runs of lines that may form a statement."""

from __future__ import annotations

from envbuild.language.quoting import Problem
from envbuild.language.syntax import Span
from envbuild.text.pattern import Pattern

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_SURROGATE = Pattern("[\ud800-\udfff]")
_CONTROL = Pattern(r"[\x00-\x08\x0b-\x1f\x7f\x85\u2028\u2029]")


def decode(source: str | bytes) -> tuple[list[str], list[Problem]]:
    """Return the lines without their ends, and the problems of the text.

    A byte order mark and the CR of a CRLF are removed. Lines with other control characters or with bytes that are
    not UTF-8 are reported; such bytes become U+FFFD.
    """
    problems: list[Problem] = []
    text = source.decode("utf-8", "surrogateescape") if isinstance(source, bytes) else source
    text = text.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}").replace("\r\n", "\n")
    lines = text.split("\n")
    if lines and not lines[-1]:
        lines.pop()
    for number, line in enumerate(lines, 1):
        strange = None if line.isascii() else _SURROGATE.search(line)
        if strange:
            hint = "a recipe must be UTF-8 text"
            byte = f"0x{ord(strange[0]) & 0xFF:02x}"
            problems.append(Problem(f"the byte {byte} is not UTF-8", Span(number, strange.start() + 1, 1), hint))
            lines[number - 1] = _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", line)
        elif control := _CONTROL.search(line):
            name = f"U+{ord(control[0]):04X}"
            message = f"the control character {name} is not allowed in a recipe"
            problems.append(Problem(message, Span(number, control.start() + 1, 1)))
    return lines, problems


def chunks(lines: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield runs of lines that are read as one statement each, with the number of their first line.

    A run starts at a line whose first column is neither white space nor a comment, and extends to the next such
    line. Together the runs are all lines.
    """
    first, run = 1, list[str]()
    for number, line in enumerate(lines, 1):
        if line and line[0] not in " \t#" and run:
            yield first, run
            first, run = number, []
        run.append(line)
    if run:
        yield first, run
