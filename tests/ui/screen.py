"""A pseudo-terminal and what a user would see on it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import termios
import time
import unicodedata
from contextlib import suppress

_TOKEN = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|([\r\n])|([^\x1b\r\n])|(\x1b)")


class Terminal:
    """Understands what rich's live display writes, and fails the test at anything else.

    `stream` is the side to write to. `shown` are all lines so far, as a user who scrolls up sees them.
    """

    def __init__(self, columns: int, rows: int) -> None:
        self._master, slave = pty.openpty()
        self.columns, self.rows = columns, rows
        self.resize(columns, rows)
        self.stream = os.fdopen(slave, "w", encoding="utf-8")
        self.raw = ""
        self.cursor_shown = True
        self._pending = b""
        self._lines = [""]
        self._row = self._column = 0

    def close(self) -> None:
        os.close(self._master)
        with suppress(OSError):  # what a terminal that was hung up did not take
            self.stream.close()

    def hang_up(self) -> None:
        """The window is closed: writing fails from now on."""
        os.close(self._master)
        self._master = os.open("/dev/null", os.O_RDONLY)

    def resize(self, columns: int, rows: int) -> None:
        """Breaks the lines that are too long now, as most terminals do, and keeps the cursor at its text."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        if hasattr(self, "_lines"):
            self._read()
            broken: list[str] = []
            for number, line in enumerate(self._lines):
                pieces = [line[start : start + columns] for start in range(0, len(line), columns)] or [""]
                if number == self._row:
                    piece = min(self._column // columns, len(pieces) - 1)
                    row, column = len(broken) + piece, self._column - piece * columns
                broken += pieces
            self._lines, self._row, self._column = broken, row, column
        self.columns, self.rows = columns, rows

    @property
    def shown(self) -> list[str]:
        self._read()
        lines = [line.rstrip() for line in self._lines]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def wait_for(self, text: str, seconds: float = 60.0) -> list[str]:
        """The lines as soon as one of them holds `text`."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            lines = self.shown
            if any(text in line for line in lines):
                return lines
            time.sleep(0.02)
        raise AssertionError(f"{text!r} was never shown:\n" + "\n".join(self.shown))

    def _read(self) -> None:
        while select.select([self._master], [], [], 0)[0]:
            try:
                data = os.read(self._master, 65536)
            except OSError:
                break
            if not data:
                break
            self._pending += data
        try:
            text, self._pending = self._pending.decode(), b""
        except UnicodeDecodeError:
            return
        self.raw += text
        for sequence, final, control, character, stray in _TOKEN.findall(text):
            assert not stray, f"unknown sequence in {text!r}"
            if final:
                self._obey(sequence, final)
            elif control == "\r":
                self._column = 0
            elif control == "\n":
                self._down()
            else:
                self._put(character)

    def _obey(self, sequence: str, final: str) -> None:
        if final == "A":
            self._row = max(self._row - int(sequence or 1), 0)
        elif final == "K":
            self._lines[self._row] = ""
        elif final in "hl" and sequence == "?25":
            self.cursor_shown = final == "h"
        else:
            assert final == "m", (sequence, final)

    def _down(self) -> None:
        self._row += 1
        if self._row == len(self._lines):
            self._lines.append("")

    def _put(self, character: str) -> None:
        width = 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if self._column + width > self.columns:
            self._column = 0
            self._down()
        line = self._lines[self._row].ljust(self._column)
        self._lines[self._row] = line[: self._column] + character + line[self._column + 1 :]
        self._column += width
