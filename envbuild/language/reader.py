"""The reader of one file: its statements' words with parameters put in, and the report of errors."""

from __future__ import annotations

from itertools import pairwise
from os.path import dirname

from envbuild.language.parse import place
from envbuild.language.quoting import Parts, Problem, joined, plain
from envbuild.language.scope import Scope
from envbuild.language.statement_parts import Command, EnvironmentReference, EnvironmentValue, Place, choose
from envbuild.language.syntax import Reference, Span, StatementSyntax, SyntaxTree, TextLine, Word, WordLine
from envbuild.language.values import InvalidValue
from envbuild.text.diagnostics import Diagnostic
from envbuild.text.suggestion import did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T")


class Reader:
    """The state while the statements of one file are read."""

    def __init__(self, tree: SyntaxTree, scope: Scope, chain: tuple[str, ...], report: list[Diagnostic]) -> None:
        self.tree = tree
        self.scope = scope
        self.chain = chain
        self.report = report
        self.folder = dirname(tree.file) or "."
        """What paths of other recipes are relative to."""
        self.context = self.folder
        """What paths of files that statements take are relative to."""
        self.context_at = 0
        """The line of the statement that says so, 0 without one."""
        self.taken_by = ""
        """The keyword of the first statement that stands in a stage or begins one."""

    def error(self, span: Span, message: str, hint: str = "") -> None:
        self.report.append(self.diagnostic(span, message, hint))

    def diagnostic(self, span: Span, message: str, hint: str = "") -> Diagnostic:
        return place(Problem(message, span, hint), self.tree, self.chain)

    def place(self, statement: StatementSyntax) -> Place:
        return Place(self.tree.file, statement.span.line)

    def start_of(self, statement: StatementSyntax) -> tuple[Place, str, str]:
        """Return what all statements of the model begin with: their place, their context and their text."""
        return self.place(statement), self.context, statement.source

    def where(self, span: Span) -> str:
        return f"{self.tree.file}:{span.line}"

    def checked(self, check: Callable[[str], T], text: str, span: Span) -> T | None:
        """Return what `check` makes of the text; report an error at `span` and return None if it is not valid."""
        try:
            return check(text)
        except InvalidValue as error:
            self.error(span, error.message, error.hint)
            return None

    def expand(self, word: Word) -> str | None:
        """Return the word with its parameters put in; report an error and return None if it uses an unknown one."""
        return self.expand_parts(word.parts)

    def expand_parts(self, parts: Parts) -> str | None:
        result = ""
        complete = True
        for part in parts:
            if isinstance(part, str):
                result += part
                continue
            value = self.scope.use(part.name, self.where(part.span))
            if value is None:
                self._unknown(part)
                complete = False
            elif part.operator:
                other = self.expand_parts(part.text)
                complete &= other is not None
                result += choose(part.operator, value, other or "")
            else:
                result += value
        return result if complete else None

    def expand_environment(self, parts: Parts) -> EnvironmentValue:
        """Do as `expand`, but leave a name that is not a parameter for the stage's environment."""
        result: list[str | EnvironmentReference] = []
        for part in parts:
            if isinstance(part, str):
                value: str | EnvironmentReference = part
            else:
                known = self.scope.use(part.name, self.where(part.span))
                text = self.expand_environment(part.text)
                if known is not None and part.operator:
                    for chosen in choose(part.operator, (known,) if known else (), text):
                        _append(result, chosen)
                    continue
                reference = EnvironmentReference(part.name, part.span.line, part.span.column, part.operator, text)
                value = reference if known is None else known
            _append(result, value)
        return tuple(result)

    def expand_text(self, text: str, span: Span, *, operators: bool = False) -> str | None:
        """Return a text outside of words, a line of a `file` or an item of a list, with its parameters put in; with
        `operators` also where a reference says more than a name."""
        parts, problems = plain(text, span.line, span.column, operators=operators)
        for problem in problems:
            self.error(problem.span, problem.message, problem.hint)
        expanded = self.expand_parts(joined(parts))
        return None if problems else expanded

    def words(self, statement: StatementSyntax) -> list[Word]:
        """Return the words on the keyword's line and in the block."""
        block = [word for line in statement.block if isinstance(line, WordLine) for word in line.words]
        return [*statement.words, *block]

    def texts(self, statement: StatementSyntax) -> list[tuple[Word, str]]:
        """Return the statement's words with their text, without those that use unknown parameters."""
        pairs = [(word, self.expand(word)) for word in self.words(statement)]
        return [(word, text) for word, text in pairs if text is not None]

    def some(self, statement: StatementSyntax, shape: str) -> bool:
        """Return whether there is at least one word; else report an error that shows the statement's form."""
        if self.words(statement):
            return True
        self.error(statement.span, f"{statement.keyword} needs more than its keyword", f"as in: {shape}")
        return False

    def only(self, statement: StatementSyntax, shape: str) -> tuple[Word, str] | None:
        """Return the only word of the statement; report an error and return None if there are more or none."""
        words = self.words(statement)
        if not self.some(statement, shape):
            return None
        if len(words) > 1:
            self.error(words[1].span, f"{statement.keyword} takes one word", f"as in: {shape}")
            return None
        text = self.expand(words[0])
        return None if text is None else (words[0], text)

    def text(self, statement: StatementSyntax) -> Command | None:
        """Return the text of a command with the parameters that it mentions; None if there is none."""
        lines = [line for line in statement.block if isinstance(line, TextLine)]
        first = statement.text
        if first is None and not lines:
            return None
        if first is not None and lines:
            self._check_continued([first, *lines])
            lines = [first, *lines]
        text = first.text if first is not None and not lines else "\n".join(line.text for line in lines)
        return Command(text, self.scope.mentioned(text, self.where(statement.span)))

    def _check_continued(self, lines: list[TextLine]) -> None:
        """Report a command that starts on the keyword's line and continues without a backslash."""
        for line, following in pairwise(lines):
            backslashes = len(line.text) - len(line.text.rstrip("\\"))
            if backslashes % 2 == 0 and following.text:
                hint = "put the whole text into the block, or end the line above with '\\'"
                message = "a command is either text on its keyword's line or a block, not both"
                self.error(following.span, message, hint)
                return

    def _unknown(self, reference: Reference) -> None:
        hint = did_you_mean(reference.name, self.scope.values, "write \\${ for the text itself")
        message = f"unknown parameter '{reference.name}'"
        self.scope.unknown.append((reference.name, self.diagnostic(reference.span, message, hint)))


def _append(result: list[str | EnvironmentReference], value: str | EnvironmentReference) -> None:
    """Add a part of a value; texts beside each other become one."""
    if isinstance(value, str) and result and isinstance(result[-1], str):
        result[-1] += value
    elif value != "":
        result.append(value)
