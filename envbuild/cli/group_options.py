"""The options that `up` and `down` share, and the group that they name."""

from __future__ import annotations

import argparse
import os

from envbuild.cli.environment import Environment
from envbuild.compose.file.load import find_file, load_group, looks_like_file
from envbuild.text.diagnostics import render
from envbuild.ui.compose_display import GroupDisplay
from envbuild.ui.sanitize import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from envbuild.compose.file.model import Group


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that `up` and `down` share."""
    parser.add_argument(
        "--name", "-p", metavar="GROUP", help="name the group (default: `name` in the file, or its directory)"
    )


def load_group_of(words: Sequence[str], name: str | None, environment: Environment) -> tuple[Group, tuple[str, ...]]:
    """Return the group that `[FILE] [SERVICE ...]` names, and the names of the services; print the file's notes."""
    names = tuple(words)
    if names and looks_like_file(names[0]):
        path, names = os.path.normpath(names[0]), names[1:]
    else:
        path, others = find_file(".")
        if others or os.path.dirname(path):
            also = f", not {', '.join(others)}" if others else ""
            environment.warn([f"the file is {path}{also}"], "note")
    group = load_group(path, environment.variables, environment.home(), name)
    if group.notes:
        environment.stderr.write(clean(render(group.notes)) + "\n")
        environment.stderr.flush()
    return group, names


def display_of_group(names: Sequence[str], environment: Environment) -> GroupDisplay:
    """Return the display of a group with these services."""
    return GroupDisplay(
        names,
        environment.stderr,
        environment.colour(environment.stderr),
        environment.stdout,
        environment.colour(environment.stdout),
    )
