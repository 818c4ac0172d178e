"""Keeps secrets out of what a step prints."""

from __future__ import annotations

from collections.abc import Callable, Sequence

MASK = b"********"
SHORTEST = 4
"""Values shorter than this many bytes are not masked: they would occur by chance."""


class Redactor:
    """Passes bytes on with every occurrence of a secret replaced, also one that is cut between two writes."""

    def __init__(self, secrets: Sequence[bytes], sink: Callable[[bytes], None]) -> None:
        values = {*secrets, *(secret.strip() for secret in secrets)}
        self._secrets = sorted((value for value in values if len(value) >= SHORTEST), key=len, reverse=True)
        self._longest = max(map(len, self._secrets), default=0)
        self._held = b""
        self._sink = sink

    def write(self, data: bytes) -> None:
        """Takes some output; up to the length of the longest secret is held back until more comes."""
        if not self._secrets:
            self._sink(data)
            return
        held = self._masked(self._held + data)
        keep = self._longest - 1
        ready, self._held = (held[:-keep], held[-keep:]) if keep and len(held) > keep else (b"", held)
        if ready:
            self._sink(ready)

    def close(self) -> None:
        """Passes on what was held back."""
        if self._held:
            self._sink(self._held)
            self._held = b""

    def _masked(self, data: bytes) -> bytes:
        for secret in self._secrets:
            data = data.replace(secret, MASK)
        return data
