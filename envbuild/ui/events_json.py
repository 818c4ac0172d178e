"""A build as one JSON object a line, for programs. docs/events.md is the schema, and a promise."""

from __future__ import annotations

import json
from _thread import allocate_lock
from base64 import b64encode
from collections.abc import Callable
from time import monotonic

from envbuild.build.events import BuildStarted, Event
from envbuild.ui.display import Display
from envbuild.ui.stream import Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO

SCHEMA = 1
"""Goes up when a field is removed or changes its meaning; new events and new fields don't change it."""


class JsonDisplay(Display):
    """Writes each event as a line of ASCII, so that no byte of it means anything to a terminal."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = monotonic) -> None:
        self._output = Output(stream)
        self._clock = clock
        self._lock = allocate_lock()
        self._first: float | None = None

    @property
    def lost(self) -> OSError | None:
        return self._output.lost

    def __call__(self, event: Event) -> None:
        with self._lock:
            now = self._clock()
            if self._first is None:
                self._first = now
            self._output.write_lines([encode(event, now - self._first)])


def encode(event: Event, seconds: float) -> str:
    """Return the line for `event`, `seconds` after the first event, without its newline."""
    fields: dict[str, Any] = {"event": event_name(type(event)), "time": round(seconds, 6)}
    if isinstance(event, BuildStarted):
        fields["schema"] = SCHEMA
    for name in event.__match_args__:
        value = getattr(event, name)
        if isinstance(value, bytes):
            key, text = _bytes_field(name, value)
            fields[key] = text
        else:
            fields[name] = _valid(value)
    # JSON lets DEL stand as it is; a terminal had better not get it.
    return json.dumps(fields, separators=(",", ":")).replace("\x7f", "\\u007f")


def event_name(event: type) -> str:
    """Return `step-started` for StepStarted."""
    name = event.__name__
    return "".join("-" + letter.lower() if letter.isupper() else letter for letter in name).lstrip("-")


def _bytes_field(name: str, value: bytes) -> tuple[str, str]:
    """Return bytes as text if they are UTF-8, else in base64 under another name: nothing is ever lost."""
    try:
        return name, value.decode()
    except UnicodeDecodeError:
        return f"{name}_base64", b64encode(value).decode()


def _valid(value: object) -> object:
    """Return text without lone surrogates, which many JSON readers refuse; they stand for bytes in a file's name."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, tuple):
        return [_valid(item) for item in value]
    return value
