"""The syntax of a recipe: statements, words and comments with their positions, nothing resolved yet.

Lines and columns count from 1, in characters.
"""

from __future__ import annotations

from envbuild.record import Record


class Span(Record):
    """A position in a file: the line, the first column, and the number of columns."""

    line: int
    column: int
    length: int


NOWHERE = Span(0, 0, 0)


class Reference(Record):
    """A reference `${name}` in a word; with `operator` `${name:-text}` or `${name:+text}`."""

    name: str
    span: Span
    operator: str = ""
    text: tuple[str | Reference, ...] = ()


class Word(Record):
    """A word: literal text and references in order, no two literals adjacent."""

    parts: tuple[str | Reference, ...]
    span: Span

    def literal(self) -> str | None:
        """Return the word's text, None if it has a reference."""
        match self.parts:
            case ():
                return ""
            case (str() as text,):
                return text
        return None


class Option(Record):
    """An option, `name` or `name=value` in the parentheses after a keyword; a flag has no value."""

    name: str
    span: Span
    value: Word | None


class Comment(Record):
    """A comment on a line of its own; `text` starts with `#`."""

    text: str
    span: Span


class WordLine(Record):
    """A line in a block of words; `comment` is the comment after them, with its `#`, or empty. `options` are the
    conditions that it begins with."""

    words: tuple[Word, ...]
    comment: str = ""
    options: tuple[Option, ...] = ()


class TextLine(Record):
    """A line in a block of text, or the text after a keyword; `span` is where `text` starts.

    In a block, the common indentation is removed. An empty line has empty text.
    """

    text: str
    span: Span


BlockLine = WordLine | TextLine | Comment


class StatementSyntax(Record):
    """The syntax of a statement.

    `words` are the words on the keyword's line: for `param` its name, its value and then the choices after `in`; for
    `from` the base (none if `programs` is given) and the stage's name. `destination` follows `->`. `text` follows the
    keyword of a command. `programs` is the list of `from host(...)`. `comment` ends the keyword's line. `source` has
    the lines as they are in the file.
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
    """Lines that are not a valid statement. `keyword` is their first word."""

    keyword: str
    span: Span
    source: str


class BlankLine(Record):
    """One or more empty lines between statements."""


Item = StatementSyntax | Broken | Comment | BlankLine


class SyntaxTree(Record):
    """The syntax of one file. `lines` are its lines without their ends, for messages."""

    file: str
    items: tuple[Item, ...]
    lines: tuple[str, ...]
