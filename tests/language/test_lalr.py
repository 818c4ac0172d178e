"""The ready tables against lark itself: they are those of the grammar, and give what lark gives."""

from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lark import Token, Tree
from lark.exceptions import UnexpectedInput

from envbuild.language import lalr, parse_tables
from envbuild.language.grammar import load_grammar
from envbuild.language.table_maker import make
from tests.language.test_round_trip import EXAMPLE, recipes

lark = cache(load_grammar)
FAILING = sorted((Path(__file__).parent / "failing").glob("*/*.env"))


def shown_by_lark(text):
    def shown(node):
        if isinstance(node, Token):
            return (node.type, str(node), node.line, node.column)
        assert isinstance(node, Tree)
        return (str(node.data), [shown(child) for child in node.children])

    try:
        return shown(lark().parse(text))
    except UnexpectedInput:
        return None


def shown_by_tables(text):
    def shown(node):
        if isinstance(node, lalr.Token):
            return (node.type, str(node), node.line, node.column)
        return (node.data, [shown(child) for child in node.children])

    try:
        return shown(lalr.parse(text))
    except lalr.Misfit:
        return None


def test_the_tables_are_those_of_the_grammar():
    """After a change of the grammar: python -m envbuild.language.table_maker"""
    assert Path(parse_tables.__file__).read_text(encoding="utf-8") == make()


@pytest.mark.parametrize("path", FAILING, ids=lambda path: path.parent.name)
def test_a_recipe_that_is_wrong_is_wrong_for_both(path):
    text = path.read_bytes().decode(errors="replace").replace("\r\n", "\n") + "\n"
    assert shown_by_tables(text) == shown_by_lark(text)


def test_the_example_gives_the_same_tree():
    assert shown_by_tables(EXAMPLE) == shown_by_lark(EXAMPLE) is not None


@given(recipes)
def test_any_recipe_gives_the_same_tree(text):
    assert shown_by_tables(text + "\n") == shown_by_lark(text + "\n")


@given(recipes, st.lists(st.tuples(st.integers(0, 400), st.sampled_from(' \n#"$(){},=->\\ax')), max_size=3))
def test_any_slip_gives_the_same_tree_or_none(text, slips):
    for place, letter in slips:
        text = text[:place] + letter + text[place + 1 :]
    assert shown_by_tables(text + "\n") == shown_by_lark(text + "\n")
