"""The closed family of errors: the tree that envbuild/errors.py begins with, and how an error gets its text.

`python -m tests.test_errors` draws the tree anew after an error was added, renamed or removed.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from pathlib import Path

import pytest

import envbuild
from envbuild import errors
from envbuild.errors import BadOption, DiskTrouble, EnvbuildError

PACKAGE = Path(envbuild.__path__[0])
WITHOUT_FIELDS = {"EnvbuildError", "UsageError", "WorkFailed", "MachineLacks", "StoreDamaged"}
"""The kinds that tell exit codes apart, and what a store's damages have in common."""
NOT_OURS = ("envbuild.__main__", "envbuild.packages.inside")
"""A program, and what the Python of images runs."""


def family() -> str:
    """The tree of all errors, as errors.py has to draw it."""
    for module in pkgutil.walk_packages(envbuild.__path__, "envbuild."):
        if not module.name.startswith(NOT_OURS):
            importlib.import_module(module.name)
    return "\n".join([*_lines(EnvbuildError, ""), ""])


def _lines(kind: type[EnvbuildError], indent: str) -> list[str]:
    room = "" if kind.__module__ == "envbuild.errors" else f"  {kind.__module__.removeprefix('envbuild.')}"
    fields = kind.__match_args__
    if kind.__init__ is not errors._set_fields:
        fields = [name for name in inspect.signature(kind).parameters if name not in ("message", "hint")]
    exit_code = f"  exit {kind.exit_code}" if kind.exit_code != getattr(kind.__base__, "exit_code", None) else ""
    line = f"{indent}{kind.__name__}({', '.join(fields)}){exit_code}{room}".replace("()", "")
    below = sorted(
        kind.__subclasses__(),
        key=lambda subclass: (subclass.__module__ != "envbuild.errors", subclass.__name__, subclass.__module__),
    )
    ours = [subclass for subclass in below if subclass.__module__.startswith("envbuild.")]
    return [line, *(line for line_ours in ours for line in _lines(line_ours, indent + "  "))]


def test_the_family_is_drawn_as_it_is():
    drawn = errors.__doc__ or ""
    assert drawn.split("\n\n")[1] + "\n" == family(), "draw it: python -m tests.test_errors"


def test_only_commands_make_an_error_of_a_text():
    """What the core raises has fields: whoever catches it can tell what it is about."""
    texts = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if not path.is_relative_to(PACKAGE / "cli")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in WITHOUT_FIELDS
    ]
    assert not texts


def test_an_error_has_fields_and_makes_its_text_of_them():
    error = BadOption("--memory", "5x", kind="size", example="--memory 512m")
    assert (error.where, error.value, error.exit_code) == ("--memory", "5x", 2)
    assert (error.message, error.hint) == ("--memory: '5x' is not a valid size", "as in: --memory 512m")


def test_an_error_whose_fields_are_wrong_is_a_bug():
    with pytest.raises(TypeError, match="DiskTrouble has the fields"):
        DiskTrouble(OSError(), path="x")
    with pytest.raises(AttributeError):
        BadOption("--memory")


def draw() -> None:
    """Write the tree into errors.py."""
    path = Path(errors.__file__)
    first, _, rest = path.read_text().split("\n\n", 2)
    path.write_text(f"{first}\n\n{family()}\n{rest}")


if __name__ == "__main__":
    draw()
