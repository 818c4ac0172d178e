"""Notes what came through the proxy of one step, within bounds and without the step's secrets."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TypeVar
from urllib.parse import quote

from envbuild.build.secrets import masked
from envbuild.build.step_network.access import host_and_port
from envbuild.record import values
from envbuild.store.network_record import Answer, NetworkRecord

T = TypeVar("T")

MAX_ASKED = 1000
MAX_REFUSED = 200
MAX_ANSWERS = 1000
MAX_ADDRESS = 500
"""Characters of an address that are kept."""


class Traffic:
    """What one step asked. The proxy's thread writes, any other may read."""

    def __init__(self, mode: str, secrets: Sequence[bytes]) -> None:
        self._mode = mode
        self._secrets = [*secrets, *(quote(secret, safe="").encode() for secret in secrets)]
        self._asked: set[str] = set()
        self._refused: dict[str, str] = {}
        self._answers: set[Answer] = set()
        self._more = 0
        self._lock = threading.Lock()

    def ask(self, host: str, port: int) -> None:
        """Note a host that was asked."""
        self._add(self._asked, self._clean(host_and_port(host, port)), MAX_ASKED)

    def refuse(self, host: str, port: int, reason: str) -> None:
        """Note a host that was refused, and why."""
        name = self._clean(host_and_port(host, port))
        with self._lock:
            if name in self._refused or len(self._refused) < MAX_REFUSED:
                self._refused[name] = reason
            else:
                self._more += 1

    def answer(self, method: str, address: str, status: int, sha256: str, size: int) -> None:
        """Note an answer whose body is whole."""
        path, mark, _ = address.partition("?")
        shown = self._clean(path) + ("?..." if mark else "")
        if len(shown) > MAX_ADDRESS:
            shown = shown[: MAX_ADDRESS - 3] + "..."
        self._add(self._answers, Answer(self._clean(method)[:20], shown, status, sha256, size), MAX_ANSWERS)

    @property
    def refused(self) -> dict[str, str]:
        """The hosts that were refused, each with the reason."""
        with self._lock:
            return dict(self._refused)

    @property
    def record(self) -> NetworkRecord:
        """All of it."""
        with self._lock:
            return NetworkRecord(
                self._mode,
                tuple(sorted(self._asked)),
                tuple(sorted(self._refused)),
                tuple(sorted(self._answers, key=values)),
                self._more,
            )

    def _add(self, kept: set[T], item: T, most: int) -> None:
        with self._lock:
            if item in kept:
                return
            if len(kept) < most:
                kept.add(item)
            else:
                self._more += 1

    def _clean(self, text: str) -> str:
        """Return a text as it may be kept: the step's secrets masked, and in ASCII."""
        plain = masked(self._secrets, text.encode("latin-1", "replace")) if self._secrets else text.encode("latin-1")
        return plain.decode("ascii", "backslashreplace")
