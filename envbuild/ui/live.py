"""The last lines of a terminal, drawn again and again by rich. Imported only for a build that takes a while."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, cast

from rich.console import Console, ConsoleDimensions
from rich.control import Control
from rich.live import Live
from rich.segment import ControlType
from rich.text import Text

from envbuild.text.width import columns
from envbuild.ui.live_model import Line
from envbuild.ui.stream import Output

_RICH_STYLES = {"": "", "dim": "dim", "strong": "bold"}


class LiveRegion:
    """Owns the lines under the cursor from its making until `close`, which removes them and shows the cursor.

    Not safe for threads: the display that has it holds a lock. Refreshing is left to that display too, because
    rich's own thread would take the two locks in the other order.
    """

    def __init__(self, output: Output) -> None:
        self._output = output
        self._console = Console(
            # An Output writes, flushes and has an encoding, which is all that rich asks of a file.
            file=cast(IO[str], output),
            force_terminal=True,
            no_color=not output.colour,
            highlight=False,
            markup=False,
            emoji=False,
            legacy_windows=False,
        )
        self._drawn: list[Line] = []
        self._width = output.terminal_size[0]
        self._live = Live(
            Text(""),
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._resize()
        self._live.start()

    def draw(self, frame: Sequence[Line]) -> None:
        """Replace what was drawn with `frame`, which must fit the terminal."""
        self._resize()
        self._drawn = list(frame)
        self._live.update(self._text(frame), refresh=True)

    def above(self, lines: Sequence[str], frame: Sequence[Line]) -> None:
        """Write lines that stay (SGR colours in them are kept) above the new `frame`."""
        self._resize()
        self._drawn = list(frame)
        self._live.update(self._text(frame))
        self._console.print(Text.from_ansi("\n".join(lines)), soft_wrap=True)

    def close(self) -> None:
        try:
            self._resize()
            self._live.stop()
        finally:
            # A second Ctrl-C can come in the middle of this; rich would take itself for stopped then.
            self._console.show_cursor(True)

    def _text(self, frame: Sequence[Line]) -> Text:
        text = Text("\n", no_wrap=True, overflow="crop").join(
            Text(line, style=_RICH_STYLES[style]) for line, style in frame
        )
        text.no_wrap, text.overflow = True, "crop"
        return text

    def _resize(self) -> None:
        """Take over the terminal's size, and the rows that a narrower one has broken our lines into.

        Terminals wrap what is drawn already when they get narrower, so that the frame takes more rows than rich knows
        of and would leave the upper ones behind.
        """
        width, height = self._output.terminal_size
        self._console.size = ConsoleDimensions(width, height)
        if width < self._width:
            extra = sum(max(columns(line) - 1, 0) // width for line, _ in self._drawn)
            codes = [(ControlType.ERASE_IN_LINE, 2), (ControlType.CURSOR_UP, 1)] * extra
            if codes:
                self._console.control(Control(*codes))
        self._width = width
