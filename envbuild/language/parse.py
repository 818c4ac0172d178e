"""The parser: from a file's text to its syntax, with all errors of the file at once.

The grammar describes a whole file. If the file doesn't fit it, each statement is parsed by itself, so that every wrong
one is reported and the checks that follow know all others.
"""

from __future__ import annotations

from envbuild.language.build_ast import build
from envbuild.language.lalr import Misfit
from envbuild.language.lalr import parse as read_tree
from envbuild.language.quoting import Problem
from envbuild.language.source import chunks, decode
from envbuild.language.syntax import BlankLine, Broken, Comment, Item, Span, StatementSyntax, SyntaxTree, TextLine
from envbuild.text.diagnostics import Diagnostic, RecipeErrors

MAX_PROBLEMS = 5000
"""With more than this, a file is not a recipe with mistakes. Finding what the grammar expected takes half a
millisecond."""


def parse(source: str | bytes, file: str) -> SyntaxTree:
    """Return the syntax of a recipe's text; `file` is its name in messages. Raises RecipeErrors."""
    tree, problems = parse_all(source, file)
    if problems:
        raise RecipeErrors(problems)
    return tree


def parse_all(source: str | bytes, file: str) -> tuple[SyntaxTree, list[Diagnostic]]:
    """Return the syntax, with Broken for what can't be parsed, and the errors in the order of their places."""
    lines, problems = decode(source)
    bad_lines = {problem.span.line for problem in problems}
    items: list[Item] = []
    whole = None if bad_lines else _attempt(lines, 1)
    if isinstance(whole, list):
        items = whole
    else:
        for first, run in chunks(lines):
            if len(problems) > MAX_PROBLEMS:
                items.append(_broken(first, run))
                continue
            if len(problems) == MAX_PROBLEMS:
                problems.append(
                    Problem("the rest of the file was not read", Span(first, 1, 1), "fix the errors above first")
                )
                items.append(_broken(first, run))
                continue
            result = _attempt(run, first)
            bad = not bad_lines.isdisjoint(range(first, first + len(run)))
            if isinstance(result, list) and not bad:
                items.extend(result)
                continue
            if not isinstance(result, list) and not bad:
                problems.extend(result)
            items.append(_broken(first, run))
    tree = SyntaxTree(file, tuple(_with_blank_lines(items)), tuple(lines))
    ordered = sorted(problems, key=lambda problem: (problem.span.line, problem.span.column))
    return tree, [place(problem, tree) for problem in ordered]


def place(problem: Problem, tree: SyntaxTree, chain: tuple[str, ...] = ()) -> Diagnostic:
    """Return the problem as a diagnostic of this file."""
    span = problem.span
    source = tree.lines[span.line - 1] if 0 < span.line <= len(tree.lines) else ""
    return Diagnostic(
        problem.message, tree.file, span.line, span.column, max(1, span.length), problem.hint, chain, source
    )


def _attempt(lines: list[str], first: int) -> list[Item] | tuple[Problem, ...]:
    """Return the items of these lines; a tuple of problems if they don't parse. `first` is the number of the first
    line."""
    text = "".join(line + "\n" for line in lines)
    try:
        tree = read_tree(text)
    except Misfit:
        # With lark: only when there is something to explain.
        from envbuild.language.grammar import locate
        from envbuild.language.syntax_error import explain

        line, column, allowed = locate(text)
        return (explain(lines, line, column, allowed, first - 1),)
    items, problems = build(tree, lines, first - 1)
    return tuple(problems) if problems else items


def _broken(first: int, run: list[str]) -> Broken:
    head = next((line for line in run if line.strip()), "")
    keyword = head.split("(")[0].split()[0] if head.split("(")[0].split() else ""
    return Broken(keyword, Span(first, 1, len(keyword)), "\n".join(run))


def _with_blank_lines(items: list[Item]) -> list[Item]:
    result: list[Item] = []
    after = 0
    for item in items:
        assert not isinstance(item, BlankLine)
        if result and item.span.line > after + 1:
            result.append(BlankLine())
        result.append(item)
        after = _last_line(item)
    return result


def _last_line(item: StatementSyntax | Broken | Comment) -> int:
    if isinstance(item, Comment):
        return item.span.line
    if isinstance(item, StatementSyntax) and item.block:
        last = item.block[-1]
        return last.span.line if isinstance(last, TextLine | Comment) else last.words[0].span.line
    if isinstance(item, StatementSyntax):
        return item.span.line
    return item.span.line + item.source.count("\n")
