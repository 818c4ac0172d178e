"""Makes text that somebody else wrote harmless for a terminal.

What a step writes can move the cursor, set the window's title, fill the clipboard or make a line look like one of
ours. So none of its control functions reach the terminal: escape sequences are taken out whole (ECMA-48 5th
edition, sections 5.3 to 5.6; xterm's ctlseqs for BEL as the end of a string), other control characters but tab
and newline are dropped, and the characters that turn the direction of text are shown as escapes. Colour goes as
well: a colour that is never reset would leak into the lines of other steps.
"""

from __future__ import annotations

from codecs import getincrementaldecoder

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re

MAX_LINE = 4096
"""Characters after which a line is broken, so that a step that never ends its line takes no memory."""

# Compiled where they are first used, which `re` remembers: most commands only start, and meet no such text.
# C0 (but tab), DEL, C1; marks, embeddings, overrides and isolates of bidirectional text (Unicode UAX #9) and
# the two separators that some programs take for a newline; surrogates, which stand for bytes that are not text.
_SPECIAL = "[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
# Spaces of other widths (Unicode's category Zs): seen, though not told apart.
_SPACES = "\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_STRING_END = "[\x07\n\x18\x1a\x1b\x9c]"

_GROUND, _ESCAPE, _INTERMEDIATE, _CONTROL, _STRING = range(5)


def _compile(pattern: str) -> re.Pattern[str]:
    import re  # only for text that is not plain: 3 ms of a start

    return re.compile(pattern)


def clean(text: bytes | str) -> str:
    """Return `text` without anything that a terminal would act on but tabs and newlines.

    Bytes are decoded as UTF-8 with replacement. Of a line that was overwritten after a carriage return only the last
    version is left, as on a terminal. clean(clean(text)) == clean(text).
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    if text.isprintable() or not _compile(_SPECIAL).search(text):
        return text
    cleaner = LineCleaner(limit=len(text) * 10)
    lines = cleaner.feed_text(text)
    return "\n".join([*lines, cleaner.partial])


def visible(text: str) -> str:
    """Return `text` in one line, with each character that can't be seen written as an escape: for names and words.

    Unlike `clean` it loses nothing, so that two different names never look the same for what was dropped.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character in _SPACES else _escape(character) for character in text
    )


def _escaped(match: re.Match[str]) -> str:
    return _escape(match[0])


def _escape(character: str) -> str:
    if character in _SHORT:
        return _SHORT[character]
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how Python's "surrogateescape" carries the byte code - 0xDC00
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


class LineCleaner:
    """Turns a step's output, any bytes cut anywhere, into clean lines.

    How the bytes are cut makes no difference to the lines. Memory is bounded by `limit` characters: sequences
    are not collected but skipped, and a longer line comes in pieces.
    """

    def __init__(self, limit: int = MAX_LINE) -> None:
        self._decoder = getincrementaldecoder("utf-8")("replace")
        self._limit = limit
        self._state = _GROUND
        self._line = ""
        self._returned = False

    @property
    def partial(self) -> str:
        """The line that has not ended yet, as it would show now."""
        return self._line

    def feed(self, data: bytes) -> list[str]:
        """Return the lines that `data` ends, without their newlines."""
        return self.feed_text(self._decoder.decode(data))

    def finish(self) -> list[str]:
        """Return the line that was left without a newline, if there is one. The cleaner is as new afterwards."""
        lines = self.feed_text(self._decoder.decode(b"", final=True))
        if self._line:
            lines.append(self._line)
        self._decoder.reset()
        self._state, self._line, self._returned = _GROUND, "", False
        return lines

    def feed_text(self, text: str) -> list[str]:
        """Do what `feed` does, for text that is decoded already."""
        lines: list[str] = []
        position, end = 0, len(text)
        while position < end:
            if self._state == _GROUND:
                special = _compile(_SPECIAL).search(text, position)
                stop = special.start() if special else end
                if stop > position:
                    self._append(text[position:stop], lines)
                if special:
                    self._act(special, lines)
                position = stop + 1
            elif self._state == _STRING:
                position = self._skip_string(text, position)
            elif self._skip_one(text[position]):
                position += 1
        return lines

    def _append(self, text: str, lines: list[str]) -> None:
        if self._returned:
            self._line, self._returned = "", False
        line = self._line + text
        start = 0
        while len(line) - start > self._limit:
            lines.append(line[start : start + self._limit])
            start += self._limit
        self._line = line[start:]

    def _act(self, special: re.Match[str], lines: list[str]) -> None:
        """What a special character means outside a sequence."""
        character = special[0]
        if character == "\n":
            lines.append(self._line)
            self._line, self._returned = "", False
        elif character == "\r":
            self._returned = True
        elif character == "\x1b":
            self._state = _ESCAPE
        elif character == "\x9b":
            self._state = _CONTROL
        elif character in "\x90\x98\x9d\x9e\x9f":
            self._state = _STRING
        elif character > "\x9f":
            self._append(_escaped(special), lines)

    def _skip_one(self, character: str) -> bool:
        """Go on in an escape or control sequence; False if `character` does not belong to it and ends it.

        A terminal would act on a newline here and then go on with the sequence; we end the sequence, so that a broken
        one hides no more than the rest of its line.
        """
        if self._state == _ESCAPE and character == "[":
            self._state = _CONTROL
            return True
        if self._state == _ESCAPE and character in "]PX^_":
            self._state = _STRING
            return True
        first_final = "@" if self._state == _CONTROL else "0"
        if " " <= character < first_final:
            if self._state == _ESCAPE:
                self._state = _INTERMEDIATE
            return True
        self._state = _GROUND
        return first_final <= character <= "~"

    def _skip_string(self, text: str, position: int) -> int:
        """Return the position after the part of a control string (OSC, DCS, APC, PM, SOS) that is in `text`.

        A newline ends it too, for the reason that `_skip_one` gives.
        """
        end = _compile(_STRING_END).search(text, position)
        if not end:
            return len(text)
        self._state = _ESCAPE if end[0] == "\x1b" else _GROUND
        return end.start() if end[0] == "\n" else end.end()
