"""A group that comes up or goes down, as lines: the progress of each service, and their output."""

from __future__ import annotations

import threading

from envbuild.compose.members import HEALTHY, STARTED, WAITING, Event, Progressed, Warned
from envbuild.ui.build_messages import hint_lines
from envbuild.ui.sanitize import LineCleaner, visible
from envbuild.ui.stream import Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO

_COLOURS = ("36", "33", "32", "35", "34", "96", "93", "92", "95", "94")


class GroupDisplay:
    """Lines of a group on two streams: what happens to it on `stream`, what its services print on `printed`.

    Called from several threads.
    """

    def __init__(
        self, names: Iterable[str], stream: TextIO, colour: bool, printed: TextIO, printed_colour: bool
    ) -> None:
        names = tuple(names)
        self._output = Output(stream, colour)
        self._printed = printed
        self._colours = {name: _COLOURS[n % len(_COLOURS)] if printed_colour else "" for n, name in enumerate(names)}
        self._width = max((len(name) for name in names), default=0)
        self._cleaners: dict[tuple[str, str], LineCleaner] = {}
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        with self._lock:
            if isinstance(event, Warned):
                warning = self._output.paint("warning:", "warning")
                self._output.write_lines([f"{warning} {visible(event.message)}", *hint_lines(event.hint, self._output)])
                return
            self._output.write_lines([self._line(event)])

    def log(self, service: str, stream: str, line: bytes) -> None:
        """Show one line that a service printed to `stream`."""
        head = f"{service:<{self._width}} | "
        if colour := self._colours.get(service):
            head = f"\x1b[{colour}m{head}\x1b[0m"
        with self._lock:
            if self._printed.isatty():
                # On a terminal the bytes could do harm; a file or a program gets them as they are.
                cleaner = self._cleaners.setdefault((service, stream), LineCleaner())
                self._printed.write("".join(f"{head}{clean}\n" for clean in cleaner.feed(line + b"\n")))
            else:
                self._printed.flush()
                self._printed.buffer.write(head.encode() + line + b"\n")
            self._printed.flush()

    def _line(self, event: Progressed) -> str:
        what = f"{event.stage} for it to be {event.detail}" if event.stage == WAITING else event.stage
        detail = f"  {visible(event.detail)}" if event.detail and event.stage != WAITING else ""
        style = "good" if event.stage in (STARTED, HEALTHY) else ""
        return f"{visible(event.service):<{self._width}}  {self._output.paint(what, style) if style else what}{detail}"
