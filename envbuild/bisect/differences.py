"""What differs between two environments, in the parts that a candidate can have or not have, and in groups of those
that have one cause."""

from __future__ import annotations

from envbuild.record import Record
from envbuild.tree.entry import Entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DEBIAN, PYTHON, NODE, STEP, FILE, RECORDS, TIMES, FACT = (
    *("debian", "python", "node", "step", "file", "records", "times", "fact"),
)
"""The kinds of groups."""


class PathPart(Record):
    """A path that differs, as `Change` has it. Where a directory took the place of something else, or the other way
    round, it is the whole subtree."""

    path: bytes
    before: Entry | None
    after: Entry | None


class StanzaPart(Record):
    """A package's stanza in dpkg's status, by `NAME:ARCH`; "" on the side that has none."""

    package: str
    before: str
    after: str


class FactPart(Record):
    """A fact that differs, by its name (`env.PATH`, `user`, `workdir`); None on the side that does not have it."""

    name: str
    before: Any
    after: Any


class PiecePart(Record):
    """A piece of a file that differs: a run of lines (`hunk` counts from 0), or one of its attributes (`mode`, `owner`,
    `time`, `xattrs`)."""

    path: bytes
    aspect: str
    hunk: int = -1


Part = PathPart | StanzaPart | FactPart | PiecePart


class Group(Record):
    """Parts with one cause. `name` is what it is called in the answer, `old` and `new` are the versions of a package,
    "" on the side that does not have it."""

    kind: str
    name: str
    parts: tuple[Part, ...]
    old: str = ""
    new: str = ""
