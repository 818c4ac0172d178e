"""Makes `parse_tables.py` out of the grammar: python -m envbuild.language.table_maker

lark turns the grammar into tables, which takes longer than reading a recipe of a hundred steps with them. So the
tables are made when the grammar changes, and kept beside it; a test compares the two.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from envbuild.language.grammar import load_grammar

TABLES = Path(__file__).parent / "parse_tables.py"
_HEADER = '''"""The tables of grammar/recipe.lark, written by table_maker.py: do not edit, run that.

A number in ACTIONS is the state after a terminal, or ~RULE if that rule ends before it. The terminals of a state are
in the order in which they are tried. A rule has its name, its length, the numbers of the children that it keeps, and of
those among them that give their own children in their place.
"""

# ruff: noqa: E501
# fmt: off
from __future__ import annotations

'''


def make() -> str:
    """Return the source of `parse_tables.py` for the grammar as it is."""
    parser = load_grammar().parser
    table = parser.parser.parser.parse_table
    lexers: dict[int, Any] = parser.lexer.lexers
    start = table.start_states["recipe"]
    numbers = _number(table.states, start)
    rules: list[str] = []
    actions, gotos = [], []
    for state in numbers:
        row = table.states[state]
        lexer = lexers[state]
        lexer.scanner  # noqa: B018 - builds what the next line looks at
        if lexer.callback:
            raise ValueError("a terminal's text decides its type: the parser knows nothing of that")
        order = [terminal.name for terminal in lexer.scanner.terminals if terminal.name in row]
        if len(order) != len(lexer.scanner.terminals):
            raise ValueError("a terminal is ignored or tried without being allowed: the parser knows nothing of that")
        by_terminal = {}
        for name in [*order, *(["$END"] if "$END" in row else [])]:
            _, argument = row[name]
            if isinstance(argument, int):
                by_terminal[name] = numbers[argument]
            else:
                rule = _rule(argument)
                if rule not in rules:
                    rules.append(rule)
                by_terminal[name] = ~rules.index(rule)
        actions.append(by_terminal)
        gotos.append({name: numbers[row[name][1]] for name in sorted(row) if name not in by_terminal})
    patterns = {terminal.name: terminal.pattern.to_regexp() for terminal in parser.lexer_conf.terminals}
    parts = [
        "PATTERNS = " + _dictionary(patterns),
        "RULES: tuple[tuple[str, int, tuple[int, ...], frozenset[int]], ...] = " + _rows(rules),
        "ACTIONS: tuple[dict[str, int], ...] = " + _rows([repr(row) for row in actions]),
        "GOTOS: tuple[dict[str, int], ...] = " + _rows([repr(row) for row in gotos]),
        f"END = {numbers[table.end_states['recipe']]}",
    ]
    return _HEADER + "\n".join(parts) + "\n"


def _number(states: dict[int, dict[str, Any]], start: int) -> dict[int, int]:
    """Return a number for each state that does not depend on the order of sets: as they are reached from the first."""
    numbers = {start: 0}
    for state in (queue := [start]):
        for name in sorted(states[state]):
            _, argument = states[state][name]
            if isinstance(argument, int) and argument not in numbers:
                numbers[argument] = len(numbers)
                queue.append(argument)
    return numbers


def _rule(rule: Any) -> str:
    """Return a rule as a row: which children of its own it keeps, and which are lists that it takes over."""
    symbols = rule.expansion
    kept = tuple(number for number, symbol in enumerate(symbols) if not (symbol.is_term and symbol.filter_out))
    spread = tuple(number for number in kept if not symbols[number].is_term and symbols[number].name.startswith("_"))
    if rule.options.expand1 or rule.options.keep_all_tokens or rule.alias:
        raise ValueError("a rule has an option that the parser knows nothing of")
    return f"({str(rule.origin.name)!r}, {len(symbols)}, {kept!r}, frozenset({spread!r}))"


def _dictionary(values: dict[str, str]) -> str:
    return "{\n" + "".join(f"    {name!r}: {values[name]!r},\n" for name in sorted(values)) + "}"


def _rows(rows: list[str]) -> str:
    return "(\n" + "".join(f"    {row},\n" for row in rows) + ")"


if __name__ == "__main__":
    TABLES.write_text(make(), encoding="utf-8")
