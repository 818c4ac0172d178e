"""The stream that a display writes to: its encoding, its colours, and what happens when nobody reads it."""

from __future__ import annotations

from os import get_terminal_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

_STYLES = {"error": "1;31", "warning": "1;33", "note": "1;36", "good": "32", "removed": "31", "dim": "2", "strong": "1"}


class Output:
    """Writes lines that are clean already.

    A stream that takes no more (`envbuild build | head`, a full disk) must not end a build: the first such error
    is kept in `lost`, and nothing is written from then on. The command line tells it, or sets its exit code by it.
    """

    def __init__(self, stream: TextIO, colour: bool = False) -> None:
        self._stream = stream
        self.colour = colour
        self.lost: OSError | None = None

    def write_lines(self, lines: list[str]) -> None:
        """Write whole lines at once and flush them. What the stream's encoding lacks is written as escapes."""
        if lines:
            self.write("\n".join(lines) + "\n")

    def write(self, text: str) -> None:
        """Write and flush `text` as it is."""
        if self.lost:
            return
        try:
            try:
                self._stream.write(text)
            except UnicodeEncodeError:
                encoding = self.encoding
                self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
            self._stream.flush()
        except OSError as error:
            self.lost = error

    def flush(self) -> None:
        """Do nothing, as nothing is held back; files have this method."""

    @property
    def encoding(self) -> str:
        """The stream's encoding; UTF-8 for a stream that takes any text."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    @property
    def terminal_size(self) -> tuple[int, int]:
        """Columns and rows now; 80 and 24 where the stream does not know."""
        try:
            size = get_terminal_size(self._stream.fileno())
        except (OSError, ValueError):  # no terminal; no descriptor at all, or a closed one
            return 80, 24
        return size.columns or 80, size.lines or 24

    def paint(self, text: str, style: str) -> str:
        """Return `text` in one of the styles above, if there is colour at all."""
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self.colour and text else text
