"""A file in which rows wait for the end of a capture: nothing may be on record before everything is, and a million
directories are more than belongs into memory."""

from __future__ import annotations

import marshal
from collections.abc import Iterator
from typing import Any, Self


class Spool:
    """Rows of what marshal knows, written one by one and then read in the same order."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "w+b")  # noqa: SIM115  # closed at the end of the `with`
        self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def put(self, row: tuple[Any, ...]) -> None:
        """Write a row. Raises OSError."""
        data = marshal.dumps(row)
        self._file.write(data)
        self.size += len(data)

    def rows(self) -> Iterator[Any]:
        """Return all rows."""
        self._file.seek(0)
        left = self.size
        while left > 0:
            yield marshal.load(self._file)
            left = self.size - self._file.tell()
