"""How much an archive of any form may hold, and the error for one that is damaged or holds too much."""

from __future__ import annotations

from dataclasses import dataclass

from envbuild.errors import UsageError, fields

MAX_TIME = 1 << 33
"""Times after this one (in the year 2242) can't be kept in nanoseconds by a file system."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much an archive may hold: members, bytes in one and in all, folders in a path, bytes of a path, and bytes of
    holes and of further names of files, which it need not hold."""

    members: int = 2_000_000
    size: int = 64 << 30
    total: int = 256 << 30
    depth: int = 256
    path: int = 4096
    holes: int = 16 << 30


@dataclass(slots=True)
class Tally:
    """How much archives held so far that are counted together, such as the layers of an image."""

    members: int = 0
    total: int = 0
    unwritten: int = 0


@fields
class ArchiveError(UsageError):
    """The archive is damaged, or holds what an archive has no business to hold."""

    archive: str
    reason: str
    offset: int
    member: bytes = b""

    def text(self) -> tuple[str, str]:
        shown = f", member '{printable(self.member)}'" if self.member else ""
        return (
            f"{self.archive}: {self.reason} (at byte {self.offset}{shown})",
            "get the archive again, or make it with GNU tar",
        )


def printable(name: bytes) -> str:
    """Return a name from an archive for a message: without control characters, which a terminal would obey."""
    text = name.decode(errors="backslashreplace")
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
