"""The display of a build, as the options and the terminal have it."""

from __future__ import annotations

from envbuild.ui.select_display import display

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.cli.environment import Environment
    from envbuild.ui.display import Display


def display_of(progress: str, environment: Environment) -> Display:
    """Return the display that `--progress` asks for."""
    stream = environment.stdout if progress == "json" else environment.stderr
    terminal = environment.moves_cursor(stream)
    return display(progress, stream, terminal, environment.colour(stream))
