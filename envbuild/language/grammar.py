"""The grammar, loaded by lark: it makes the tables and explains what is wrong with a recipe."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from lark import Lark
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken


@cache
def load_grammar() -> Lark:
    """Return lark's own parser of recipes, which also explains what is wrong with one."""
    grammar = (files("envbuild") / "grammar" / "recipe.lark").read_text(encoding="utf-8")
    return Lark(grammar, start="recipe", parser="lalr", lexer="contextual", maybe_placeholders=False)


def locate(text: str) -> tuple[int, int, set[str]]:
    """Return line and column of the text that does not fit, and the names of the terminals that would."""
    try:
        load_grammar().parse(text)
    except UnexpectedInput as error:
        allowed: set[str] = set()
        if isinstance(error, UnexpectedToken):
            allowed = set(error.accepts or error.expected)
        elif isinstance(error, UnexpectedCharacters):
            allowed = set(error.allowed or ())
        return error.line, error.column, allowed
    raise AssertionError("parse_tables.py is not that of the grammar: python -m envbuild.language.table_maker")
