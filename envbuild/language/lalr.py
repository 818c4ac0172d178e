"""The parser of correct recipes, with the prepared tables of the grammar.

It returns the same tree as lark, without lark: importing lark and making its tables takes 60 ms, parsing a recipe of
100 lines with them 5. lark explains the errors of a wrong recipe.
"""

from __future__ import annotations

from envbuild.language.parse_tables import ACTIONS, END, GOTOS, PATTERNS, RULES
from envbuild.text.pattern import Pattern

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Callable
    from typing import Any

    Matcher = Callable[[str, int], re.Match[str] | None]


class Token(str):
    """A terminal's text, with its name and the place where it starts."""

    __slots__ = ("column", "line", "type")

    type: str
    line: int
    column: int


class Node:
    """A rule's name and what it consists of, without what only separates."""

    __slots__ = ("children", "data")

    def __init__(self, data: str, children: list[Any]) -> None:
        self.data = data
        self.children = children


class Misfit(Exception):
    """The text is not a recipe's."""


def parse(text: str) -> Node:
    """Return the tree of a recipe. Raises Misfit."""
    states = [0]
    values: list[Any] = []
    position, line, start, length = 0, 1, 0, len(text)
    while True:
        # The lexer tries what can stand here, and nothing else: that is what tells a word from a comment or a text.
        name = "$END"
        if position < length:
            name, token = _next(states[-1], text, position)
            token.type, token.line, token.column = name, line, position - start + 1
        while True:
            action = ACTIONS[states[-1]].get(name)
            if action is None:
                raise Misfit
            if action >= 0:
                states.append(action)
                values.append(token)
                break
            rule, size, kept, spread = RULES[~action]
            children: list[Any] = []
            if size:
                parts = values[-size:]
                del values[-size:], states[-size:]
                for number in kept:
                    part = parts[number]
                    if number not in spread:
                        children.append(part)
                    elif number == 0:
                        children = part.children  # nobody else has it, and it may be long
                    else:
                        children += part.children
            states.append(GOTOS[states[-1]][rule])
            values.append(Node(rule, children))
            if name == "$END" and states[-1] == END:
                node: Node = values[-1]
                return node
        position += len(token)
        if name == "NEWLINE":  # the one terminal with a line's end in it, which is its last character
            line, start = line + 1, position


def _next(state: int, text: str, position: int) -> tuple[str, Token]:
    for name, match in _matchers(state):
        if hit := match(text, position):
            return name, Token(hit[0])
    raise Misfit


_patterns: dict[str, Matcher] = {}
_by_state: dict[int, list[tuple[str, Matcher]]] = {}


def _matchers(state: int) -> list[tuple[str, Matcher]]:
    """Return the terminals that can stand in a state, in the order in which they are tried."""
    matchers = _by_state.get(state)
    if matchers is None:
        matchers = _by_state[state] = [(name, _matcher(name)) for name in ACTIONS[state] if name != "$END"]
    return matchers


def _matcher(name: str) -> Matcher:
    matcher = _patterns.get(name)
    if matcher is None:
        matcher = _patterns[name] = Pattern(PATTERNS[name]).compiled().match
    return matcher
