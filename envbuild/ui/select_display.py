"""Which display a command gets."""

from __future__ import annotations

from envbuild.ui.display import Display

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

MODES = ("auto", "plain", "json")


def display(mode: str, stream: TextIO, is_terminal: bool, colour: bool = False) -> Display:
    """Return the display for one of MODES: `auto` draws on a terminal and writes plain lines elsewhere.

    The caller knows whether `stream` is a terminal that can move its cursor (TERM=dumb can't) and whether the user
    wants colour. Each display is imported only when it is the one: json alone takes 7 ms.
    """
    match mode:
        case "json":
            from envbuild.ui.events_json import JsonDisplay

            return JsonDisplay(stream)
        case "auto" if is_terminal:
            from envbuild.ui.terminal import TerminalDisplay

            return TerminalDisplay(stream, colour)
        case "auto" | "plain":
            from envbuild.ui.plain import PlainDisplay

            return PlainDisplay(stream, colour)
        case _:
            raise ValueError(f"no display is called {mode!r}: {', '.join(MODES)}")
