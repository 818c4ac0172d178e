"""Records of packages that can't be read: an image must not end its own audit with one of them."""

from __future__ import annotations

import json

from envbuild.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_STATUS = 64 << 20
"""Bytes of dpkg's status: that of a system with 3,000 packages has four millions."""
MAX_RECORD = 8 << 20
"""Bytes of one package's record."""
MAX_JSON = 4 << 20
"""Bytes of a package.json: as Python's objects it takes twenty times as much."""


class BadRecord(Record):
    """A record that can't be read: of which kind of package, its path in the tree, and why."""

    kind: str
    path: str
    reason: str


class Unreadable(Exception):
    """What is wrong with a record, in words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def parsed_json(text: bytes | str) -> Any:
    """Return what a text of JSON says. Raises Unreadable, also for one that is nested too deep."""
    if len(text) > MAX_JSON:
        raise Unreadable(f"it has more than {MAX_JSON:,} bytes")
    try:
        return json.loads(text)
    except RecursionError:
        raise Unreadable("its lists or maps are nested too deep") from None
    except ValueError:
        raise Unreadable("it is not JSON") from None
