"""The house: what its names may not be, how long its files are, and what docs/design.md says of its folders."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted(ROOT.glob("envbuild/**/*.py"))
TESTS = sorted(ROOT.glob("tests/**/*.py"))
PLACEHOLDERS = {"one", "found", "told"}
"""Names that say nothing where the domain has a noun: a package, a line, a path."""
MAX_LINES = 400
MADE = ("envbuild/language/parse_tables.py", "envbuild/errors.py")
"""Written by programs; most of errors.py is the tree that `python -m tests.test_errors` draws."""


def names_in(tree: ast.AST) -> set[tuple[int, str]]:
    """All that a module gives names to or calls by them, with the lines."""
    names = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name):
                names.add((node.lineno, name))
            case ast.arg(arg=str(name)) | ast.keyword(arg=str(name)) | ast.alias(asname=str(name)):
                names.add((node.lineno, name))
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.add((node.lineno, name))
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)) | ast.ExceptHandler(name=str(name)):
                names.add((node.lineno, name))
            case ast.MatchMapping(rest=str(name)):
                names.add((node.lineno, name))
    return names


def test_names_are_nouns_of_the_domain():
    placeholders = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in (*SOURCES, *TESTS)
        for line, name in sorted(names_in(ast.parse(path.read_text())))
        if name in PLACEHOLDERS
    ]
    assert not placeholders


@pytest.mark.parametrize(
    "text",
    [
        "one = 1",
        "[one for one in ()]",
        "def told(): ...",
        "lambda found: 0",
        "self.found",
        "f(told=1)",
        "f'{one}'",
        "import os as one",
        "try: ...\nexcept OSError as one: ...",
        "match 1:\n case one: ...",
        "match []:\n case [*found]: ...",
        "match {}:\n case {**found}: ...",
    ],
)
def test_a_placeholder_is_seen_wherever_it_stands(text):
    assert PLACEHOLDERS & {name for _, name in names_in(ast.parse(text))}


def test_a_file_can_be_read_at_one_sitting():
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in SOURCES}
    assert {path: lines for path, lines in lengths.items() if lines > MAX_LINES and path not in MADE} == {}


def test_the_design_names_each_folder_and_no_other():
    packages = [path.parent.relative_to(ROOT / "envbuild") for path in SOURCES if path.name == "__init__.py"]
    folders = {f"{path}/" for path in packages if path.parts}
    rows = (ROOT / "docs/design.md").read_text().partition("## The folders")[2].partition("\n## ")[0].splitlines()
    first = [row.split("|")[1].strip() for row in rows if row.startswith("| `")]
    assert {name.strip("`") for name in first if name.endswith("/`")} == folders
