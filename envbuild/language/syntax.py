"""A recipe as it is written: statements, words and comments with their positions, nothing resolved yet.

Lines and columns count from 1, in characters. Two trees that differ in positions only are equal after
`without_positions`.
"""

from __future__ import annotations

from envbuild.record import Record, values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Span(Record):
    """Where something stands within a file: its line, its first column, and how many columns it takes."""

    line: int
    column: int
    length: int


NOWHERE = Span(0, 0, 0)


class Reference(Record):
    """`${name}` in a word."""

    name: str
    span: Span


class Word(Record):
    """A word: literal text and references in order, no two literals side by side."""

    parts: tuple[str | Reference, ...]
    span: Span

    def literal(self) -> str | None:
        """The word's text if it has no reference."""
        match self.parts:
            case ():
                return ""
            case (str() as text,):
                return text
        return None


class Option(Record):
    """`name` or `name=value` in the parentheses after a keyword; a flag has no value."""

    name: str
    span: Span
    value: Word | None


class Comment(Record):
    """A line of its own that is a comment; `text` starts with `#`."""

    text: str
    span: Span


class WordLine(Record):
    """A line of a block of words; `comment` is what follows them, from its `#` on, or empty."""

    words: tuple[Word, ...]
    comment: str = ""


class TextLine(Record):
    """A line of a block of text, or the text after a keyword; `span` is where `text` starts.

    In a block the common indentation is gone. An empty line has empty text.
    """

    text: str
    span: Span


BlockLine = WordLine | TextLine | Comment


class Written(Record):
    """A statement as written.

    `words` are those on the keyword's line: for `param` its name, its value and then the choices after `in`; for
    `from` the base (none where `programs` is given) and the stage's name. `destination` follows `->`. `text` is
    what follows the keyword of a command. `programs` is the list of `from host(...)`. `comment` ends the
    keyword's line. `source` are the lines as they are in the file.
    """

    keyword: str
    span: Span
    options: tuple[Option, ...]
    words: tuple[Word, ...]
    destination: Word | None
    programs: tuple[Word, ...] | None
    text: TextLine | None
    comment: str
    block: tuple[BlockLine, ...]
    source: str


class Broken(Record):
    """Lines that are no statement of the language. `keyword` is what they start with."""

    keyword: str
    span: Span
    source: str


class BlankLine(Record):
    """One or more empty lines between statements."""


Item = Written | Broken | Comment | BlankLine


class SyntaxTree(Record):
    """One file. `lines` are its lines without their ends, for messages."""

    file: str
    items: tuple[Item, ...]
    lines: tuple[str, ...]


def without_positions(record: Any) -> Any:
    """The same syntax with every position, and what else tells how it was laid out, made equal."""
    return type(record)(
        *[_bare(name, value) for name, value in zip(record.__match_args__, values(record), strict=True)]
    )


def _bare(name: str, value: object) -> object:
    if isinstance(value, Span):
        return NOWHERE
    if name in ("source", "file"):
        return ""
    if name == "lines":
        return ()
    if isinstance(value, Record):
        return without_positions(value)
    if isinstance(value, tuple):
        return tuple(_bare("", item) for item in value)
    return value
