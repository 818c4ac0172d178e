"""The conversion of the parser's tree to our own syntax, which does not depend on the grammar's rules."""

from __future__ import annotations

from envbuild.language.lalr import Node, Token
from envbuild.language.quoting import Problem, joined, quoted, reference
from envbuild.language.syntax import (
    BlockLine,
    Comment,
    Item,
    Option,
    Reference,
    Span,
    StatementSyntax,
    TextLine,
    Word,
    WordLine,
)


def build(tree: Node, lines: list[str], offset: int) -> tuple[list[Item], list[Problem]]:
    """Return the items of a tree, and the problems inside words. `offset` is the number of lines before `lines`."""
    builder = _Builder(lines, offset)
    items: list[Item] = []
    for child in tree.children:
        if isinstance(child, Token):
            continue  # an empty line
        node = child
        items.extend([builder.comment(node)] if node.data in ("comment", "remark") else builder.statement(node))
    return items, builder.problems


class _Builder:
    def __init__(self, lines: list[str], offset: int) -> None:
        self.lines = lines
        self.offset = offset
        self.problems: list[Problem] = []

    def statement(self, node: Node) -> list[Item]:
        """Return the statement, and the comments that follow it."""
        keyword, *rest = node.children
        assert isinstance(keyword, Token)
        options: tuple[Option, ...] = ()
        words: list[Word] = []
        destination = programs = text = None
        remark = ""
        block: list[BlockLine] = []
        for child in rest:
            if isinstance(child, Token):
                match child.type:
                    case "PARAM_NAME":
                        words.append(Word((str(child),), self.span(child)))
                    case "TEXT":
                        text = self.text(child)
                    case "REMARK":
                        remark = child.strip(" \t")
                continue
            match child.data:
                case "options" | "command_options":
                    options = tuple(self.option(option) for option in child.children)
                case "word":
                    words.append(self.word(child))
                case "choices":
                    words.extend(self.word(word) for word in child.children)
                case "stage_name":
                    words.append(self.word(child.children[0]))
                case "destination":
                    destination = self.word(child.children[0])
                case "programs":
                    programs = tuple(self.word(value) for value in child.children if isinstance(value, Node))
                case "line":
                    block.append(self.word_line(child))
                case "text_block":
                    block = self.text_block(child)
                case "comment" | "remark":
                    block.append(self.comment(child))
        after: list[Item] = []
        while block and (isinstance(block[-1], Comment) or block[-1] == _EMPTY):
            last = block.pop()
            if isinstance(last, Comment):
                after.insert(0, last)
        span = self.span(keyword)
        end = _line_of(block[-1]) if block else span.line
        source = "\n".join(self.lines[span.line - self.offset - 1 : end - self.offset])
        statement = StatementSyntax(
            str(keyword),
            span,
            options,
            tuple(words),
            destination,
            programs,
            text,
            remark,
            tuple(block),
            source,
        )
        return [statement, *after]

    def option(self, node: Node) -> Option:
        name, *value = node.children
        assert isinstance(name, Token)
        return Option(str(name), self.span(name), self.word(value[0]) if value else None)

    def word(self, node: Node) -> Word:
        parts: list[str | Reference] = []
        tokens = [token for token in node.children if isinstance(token, Token)]
        for token in tokens:
            span = self.span(token)
            match token.type:
                case "QUOTED":
                    inner, problems = quoted(token[1:-1], span.line, span.column + 1)
                    parts.extend(inner)
                    self.problems.extend(problems)
                case "REFERENCE":
                    part, problem = reference(token[2:-1], span)
                    if part is not None:
                        parts.append(part)
                    if problem is not None:
                        self.problems.append(problem)
                case "ESCAPED":
                    parts.append("${")
                case _:
                    parts.append(str(token))
        first = self.span(tokens[0])
        length = sum(len(token) for token in tokens)
        return Word(joined(tuple(parts)), Span(first.line, first.column, length))

    def word_line(self, node: Node) -> WordLine:
        options: tuple[Option, ...] = ()
        words = []
        for child in node.children:
            if isinstance(child, Node) and child.data == "line_options":
                options = tuple(self.option(option) for option in child.children if isinstance(option, Node))
            elif isinstance(child, Node):
                words.append(self.word(child))
        remarks = [child.strip(" \t") for child in node.children if isinstance(child, Token) and child.type == "REMARK"]
        return WordLine(tuple(words), remarks[0] if remarks else "", options)

    def comment(self, node: Node) -> Comment:
        token = node.children[0]
        text = token.strip(" \t")
        column = token.column + len(token) - len(token.lstrip(" \t"))
        return Comment(text, Span(token.line + self.offset, column, len(text)))

    def text(self, token: Token) -> TextLine:
        text = token.lstrip(" \t")
        span = self.span(token)
        return TextLine(text, Span(span.line, span.column + len(token) - len(text), len(text)))

    def text_block(self, node: Node) -> list[BlockLine]:
        """Return the lines without their common indentation; lines without text are empty."""
        texts = [child.children[0] for child in node.children if isinstance(child, Node) and child.data == "text_line"]
        common = _common_indentation(texts)
        lines: list[BlockLine] = []
        for child in node.children:
            if isinstance(child, Token):
                lines.append(_EMPTY)
            elif child.data == "text_comment":
                lines.append(self.comment(child))
            else:
                token = child.children[0]
                span = self.span(token)
                text = token[common:]
                lines.append(TextLine(text, Span(span.line, span.column + common, len(text))))
        return lines

    def span(self, token: Token) -> Span:
        return Span(token.line + self.offset, token.column, len(token))


_EMPTY = TextLine("", Span(0, 0, 0))


def _common_indentation(lines: list[Token]) -> int:
    """Return the number of white space characters that all lines start with."""
    shortest, longest = (min(lines), max(lines)) if lines else ("", "")
    same = 0
    while same < len(shortest) and shortest[same] == longest[same] and shortest[same] in " \t":
        same += 1
    return same


def _line_of(line: BlockLine) -> int:
    return line.words[0].span.line if isinstance(line, WordLine) else line.span.line
