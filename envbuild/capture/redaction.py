"""What a file's content is replaced by where it is secret: what the readers ask, and the list of secrets answers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Protocol

from envbuild.record import Record
from envbuild.tree.entry import Digest


class Redacted(Record):
    """What is kept in place of a file's content. `values` is how many values in it were replaced, None for all of it,
    and `digest` that of the content under the key of the store (images/capture_record.py, Secret)."""

    content: bytes
    values: int | None
    digest: Digest


class Redaction(Protocol):
    """Finds secrets. It is called by reader processes, for each file that is read, and must not use the database.

    `profile` says what decides how a file is kept, besides the file."""

    @property
    def profile(self) -> str: ...

    def redacted(self, path: bytes, status: os.stat_result, opened: int) -> Redacted | None:
        """Return what is kept of a file, None for all of it. `path` is relative to the root that is captured, `opened`
        a descriptor that stands at the file's beginning and may be left anywhere. Raises OSError."""

    def hidden_state(self, state: Mapping[str, str]) -> dict[str, str]:
        """Return the texts of state by their names, without secrets in them."""


class NoRedaction:
    """Keeps everything as it is: for --secrets."""

    profile = "all"

    def redacted(self, path: bytes, status: os.stat_result, opened: int) -> Redacted | None:
        return None

    def hidden_state(self, state: Mapping[str, str]) -> dict[str, str]:
        return dict(state)
