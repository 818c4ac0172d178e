"""Changes inputs at random: the same seed of the generator gives the same inputs."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from tests.fuzz.target import MAX_BYTES

_NUMBERS = (
    b"0",
    b"-1",
    b"1",
    b"255",
    b"65536",
    b"2147483648",
    b"4294967295",
    b"9223372036854775807",
    b"9223372036854775808",
    b"1e999",
    b"nan",
    b"-0",
    b"0x10",
    b"1_000",
    b"9" * 400,
    b"9" * 5000,
    "\u0663\u00b2".encode(),
)
_ODD = (
    b"\0",
    b"\xff",
    b"\x80",
    b"\r",
    b"\n\n",
    b"\t",
    b"\x1b[2J",
    b"..",
    b"/",
    b"../" * 8,
    b":",
    b"%2f..",
    "\u2028\u202e\x85".encode(),
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"{",
    b"}",
    b"[",
    b"]",
    b'"',
    b"'",
    b"null",
    b"true",
    b"[]",
    b"{}",
    b'""',
)


class Mutations:
    """Inputs that are made of others, at most `most` bytes long."""

    def __init__(self, random: Random, tokens: Sequence[bytes] = (), most: int = MAX_BYTES) -> None:
        self._random = random
        self._most = most
        self._tokens = tuple(tokens)
        self._changes = (
            self._flip,
            self._put_byte,
            self._insert_token,
            self._insert_token,
            self._number,
            self._remove,
            self._double,
            self._cut,
            self._repeat,
            self._splice,
            self._move,
            self._line,
        )

    def of(self, corpus: Sequence[bytes]) -> bytes:
        """One of the corpus with a few changes."""
        self._corpus = corpus
        data = bytearray(self._random.choice(corpus)[: self._most])
        for _ in range(1 << self._random.randrange(4)):
            self._random.choice(self._changes)(data)
        return bytes(data[: self._most])

    def _at(self, data: bytearray) -> int:
        return self._random.randrange(len(data) + 1)

    def _span(self, data: bytearray) -> tuple[int, int]:
        start = self._at(data)
        most = self._random.choice((4, 16, 64, 512))
        return start, min(len(data), start + 1 + self._random.randrange(most))

    def _flip(self, data: bytearray) -> None:
        if data:
            data[self._random.randrange(len(data))] ^= 1 << self._random.randrange(8)

    def _put_byte(self, data: bytearray) -> None:
        if data:
            data[self._random.randrange(len(data))] = self._random.randrange(256)

    def _token(self) -> bytes:
        return self._random.choice(self._tokens if self._tokens and self._random.random() < 0.6 else _ODD)

    def _insert_token(self, data: bytearray) -> None:
        at = self._at(data)
        length = self._random.choice((0, 0, 1, 3))
        data[at : at + length] = self._token()

    def _number(self, data: bytearray) -> None:
        """Puts another number in the place of one."""
        digits = [at for at, byte in enumerate(data) if 48 <= byte <= 57]
        if not digits:
            return
        start = end = self._random.choice(digits)
        while start > 0 and 48 <= data[start - 1] <= 57:
            start -= 1
        while end < len(data) and 48 <= data[end] <= 57:
            end += 1
        number = self._random.choice(_NUMBERS)
        # Formats with fields of a fixed width stay aligned.
        data[start:end] = number.rjust(end - start, b"0") if self._random.random() < 0.5 else number

    def _remove(self, data: bytearray) -> None:
        start, end = self._span(data)
        del data[start:end]

    def _double(self, data: bytearray) -> None:
        start, end = self._span(data)
        data[start:start] = data[start:end]

    def _cut(self, data: bytearray) -> None:
        del data[self._at(data) :]

    def _repeat(self, data: bytearray) -> None:
        at = self._at(data)
        word = self._token() if self._random.random() < 0.7 else bytes(data[at : at + 4]) or b"["
        data[at:at] = word * min(self._random.choice((10, 100, 2_000, 20_000)), self._most // len(word) + 1)

    def _splice(self, data: bytearray) -> None:
        other = self._random.choice(self._corpus)
        first = self._random.randrange(len(other) + 1)
        last = min(len(other), first + self._random.choice((8, 64, 512, 4096)))
        start, end = self._span(data)
        data[start : end if self._random.random() < 0.5 else start] = other[first:last]

    def _move(self, data: bytearray) -> None:
        start, end = self._span(data)
        part = bytes(data[start:end])
        del data[start:end]
        at = self._at(data)
        data[at:at] = part

    def _line(self, data: bytearray) -> None:
        """Doubles, removes or swaps whole lines."""
        lines = bytes(data).split(b"\n")
        source, other = self._random.randrange(len(lines)), self._random.randrange(len(lines))
        match self._random.randrange(3):
            case 0:
                lines.insert(other, lines[source])
            case 1:
                del lines[source]
            case _:
                lines[source], lines[other] = lines[other], lines[source]
        data[:] = b"\n".join(lines)
