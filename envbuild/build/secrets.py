"""Keeps secrets out of what a step prints."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


MASK = b"********"
MIN_LENGTH = 4
"""Values shorter than this many bytes are not masked: they would occur by chance."""


class Redactor:
    """Passes bytes on with every occurrence of a secret replaced, also one that is cut between writes.

    Of a secret with several lines each line is one: programs print them with indents, other line ends or one by one.
    Where occurrences overlap, all that they cover is replaced.
    """

    def __init__(self, secrets: Sequence[bytes], sink: Callable[[bytes], None]) -> None:
        self._secrets = sorted({value for secret in secrets for value in _values(secret)}, key=len)
        self._longest = max(map(len, self._secrets), default=0)
        self._held = b""
        self._covered = 0
        self._sink = sink

    def write(self, data: bytes) -> None:
        """Take some output; up to the length of the longest secret is held back until more comes."""
        if not self._secrets:
            self._sink(data)
            return
        self._held += data
        self._pass_on(len(self._held) - (self._longest - 1))

    def close(self) -> None:
        """Pass on what was held back."""
        self._pass_on(len(self._held))

    def _pass_on(self, end: int) -> None:
        """Pass on what lies before `end`: each occurrence that begins there is in what is held, as a whole."""
        if end <= 0:
            return
        parts = []
        position = 0
        for first, last in self._occurrences():
            if first >= end:
                break
            parts.append(self._held[position:first])
            if first or not self._covered:
                parts.append(MASK)  # else it belongs to the one that was passed on before
            position = last
        parts.append(self._held[position:end])
        self._held, self._covered = self._held[end:], max(0, position - end)
        passed = b"".join(parts)
        if passed:
            self._sink(passed)

    def _occurrences(self) -> list[tuple[int, int]]:
        """Return where something is to be replaced, in order; what overlaps is one."""
        occurrences = [(0, self._covered)] if self._covered else []
        for secret in self._secrets:
            at = self._held.find(secret)
            while at >= 0:
                occurrences.append((at, at + len(secret)))
                at = self._held.find(secret, at + 1)
        joined: list[tuple[int, int]] = []
        for first, last in sorted(occurrences):
            if joined and first < joined[-1][1]:
                joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
            else:
                joined.append((first, last))
        return joined


def masked(secrets: Sequence[bytes], data: bytes) -> bytes:
    """Return some bytes with every occurrence of a secret replaced."""
    parts: list[bytes] = []
    redactor = Redactor(secrets, parts.append)
    redactor.write(data)
    redactor.close()
    return b"".join(parts)


def _values(secret: bytes) -> list[bytes]:
    """Return what is masked for a secret: itself, or each of its lines if it has several. A secret with lines that are
    too short for that is masked as a whole, too."""
    lines = [line for line in map(bytes.strip, secret.splitlines()) if line]
    values = [line for line in lines if len(line) >= MIN_LENGTH]
    if len(lines) < 2 or len(values) < len(lines):
        values.append(secret.strip())
    return [value for value in values if len(value) >= MIN_LENGTH]
