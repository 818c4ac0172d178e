"""Expressions that are kept are those that `re` makes."""

import re
import sys
from importlib import import_module

import pytest

from envbuild import module_pack
from envbuild.language.parse_tables import PATTERNS
from envbuild.module_pack_writer import _programs
from envbuild.text.pattern import Pattern

MODULES = ("bases", "foreign_forms", "network_hosts", "quoting", "scope", "source", "values")


def expressions():
    for name in MODULES:
        module = import_module(f"envbuild.language.{name}")
        yield from (value.text for value in vars(module).values() if isinstance(value, Pattern))
    yield from PATTERNS.values()


@pytest.mark.parametrize("text", sorted(set(expressions())))
def test_a_kept_expression_is_the_same(text):
    program = _programs([text])[text]
    assert program is not None, f"the inside of re is another in Python {sys.version}"
    assert module_pack.from_program(text, program) == re.compile(text)
    assert module_pack.from_program(text, program).groupindex == re.compile(text).groupindex


def test_a_pattern_does_what_re_does():
    pattern = Pattern(r"(?s)(?P<key>[a-z]+)=(.*)")
    assert pattern.fullmatch("a=b\nc")["key"] == "a"
    assert pattern.match("xa=b", 1)[2] == "b"
    assert pattern.search("1 a=b").start() == 2
    assert [match[0] for match in Pattern("[0-9]").finditer("a1b2")] == ["1", "2"]
    assert Pattern("[0-9]").sub("x", "a1b2") == "axbx"
