"""Conflicts of a merge: what both sides changed, and differently."""

from __future__ import annotations

from envbuild.record import NamedTuple, Record
from envbuild.tree.entry import DIRECTORY, FILE, KIND_WORDS, LINK, Entry

CONTENT, BINARY, KIND, DELETED, ADDED, ATTRIBUTE = "content", "binary", "kind", "deleted", "added", "attribute"
RECORD, ID, ALTERNATIVE, PACKAGE, FACT = "record", "id", "alternative", "package", "fact"
KINDS = (CONTENT, BINARY, KIND, DELETED, ADDED, ATTRIBUTE, RECORD, ID, ALTERNATIVE, PACKAGE, FACT)
ABSENT = "nothing"
"""What a side has where it has nothing."""
_SHOWN_DIGITS = 12


class Sides(NamedTuple):
    """What each side has, in words."""

    base: str
    ours: str
    theirs: str


class Conflict(Record):
    """A conflict. `path` has no slash before it, and is empty for packages and facts; `subject` is the name of the
    package or fact, and of a record in the file at `path` its key. `entries` are what the trees have, for a path that
    conflicts as a whole. `package` is the package that the path belongs to, "" for none. `paths` are those of a package
    that conflict. `marked` is a text with the conflicts between git's markers."""

    kind: str
    path: bytes
    subject: str
    sides: Sides
    package: str = ""
    entries: tuple[Entry | None, ...] = ()
    paths: tuple[bytes, ...] = ()
    marked: bytes = b""

    @property
    def name(self) -> str:
        """What the conflict is called in an option that resolves it: the path, or the package, or the fact."""
        return f"/{self.path.decode('utf-8', 'surrogateescape')}" if self.path else self.subject


class Clash(Record):
    """Two sides of a record in a database that differ. `package` is the one that the record is about."""

    subject: str
    sides: Sides
    kind: str = RECORD
    package: str = ""


def words_of(entry: Entry | None) -> str:
    """Return what a tree has at a path, in words."""
    if entry is None:
        return ABSENT
    words = [KIND_WORDS[entry.kind]]
    if entry.kind == LINK:
        return f"link to {entry.target.decode('utf-8', 'replace')}"
    words.append(f"{entry.mode:04o} {entry.uid}:{entry.gid}")
    if entry.kind == FILE:
        words.append(f"{entry.size:,} bytes, sha256 {entry.digest[:_SHOWN_DIGITS]}")
    elif entry.kind != DIRECTORY and entry.target:
        words.append(entry.target.decode("ascii", "replace"))
    if entry.xattrs:
        words.append(f"xattrs {', '.join(name.decode('utf-8', 'replace') for name, _ in entry.xattrs)}")
    return ", ".join(words)
