"""Conflicts as files that a user edits: what each side has, and what the merged tree shall have."""

from __future__ import annotations

import os

from envbuild.errors import UsageError, fields
from envbuild.linux.nofollow import Folder, NotAFile, NotPlain, TooMuch
from envbuild.merge.conflict import CONTENT, Conflict
from envbuild.store.store import Store
from envbuild.tree.entry import FILE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MERGED, SIDES = "merged", ("base", "ours", "theirs")
"""The directories of such files."""
MARKS = (b"<<<<<<< ", b">>>>>>> ")
MAX_FILES = 10_000
MAX_FILE = 16 << 20
"""Bytes of a file that a user resolved."""
MAX_WRITTEN = 256 << 20
"""Bytes of all that is written of conflicts."""


@fields
class ConflictsNotWritten(UsageError):
    """A directory for conflicts that can't be written."""

    path: str
    reason: str

    def text(self) -> tuple[str, str]:
        return f"the conflicts can't be written to {self.path}: {self.reason}", "name a directory that is not there yet"


@fields
class BadResolved(UsageError):
    """A directory of resolved conflicts that can't be read."""

    path: str
    reason: str

    def text(self) -> tuple[str, str]:
        return f"{self.path}: {self.reason}", f"it has a directory `{MERGED}` with a file for each resolved path"


@fields
class StillMarked(UsageError):
    """A resolved file in which conflicts are left."""

    path: str

    def text(self) -> tuple[str, str]:
        return f"{self.path} still has lines that begin with '{MARKS[0].decode()}'", "edit it: keep what shall stay"


def write_conflicts(store: Store, folder: str, conflicts: Iterable[Conflict]) -> int:
    """Write each conflict of a file's content into a new directory: what each side has in a directory of its own, and
    in `merged` what is to be edited, with git's markers. Return how many. Raises ConflictsNotWritten."""
    number, left = 0, MAX_WRITTEN
    try:
        os.mkdir(folder, 0o700)
        with Folder(folder) as top:
            top.folder(MERGED, 0o700)
            for conflict in conflicts:
                held = [entry if entry is not None and entry.kind == FILE else None for entry in conflict.entries]
                left -= sum(entry.size for entry in held if entry is not None)
                if not any(held) or left < 0:
                    continue
                path = os.fsdecode(conflict.path)
                for side, entry in zip(SIDES, held, strict=True):
                    if entry is not None and store.objects.has(entry):
                        with top.below(f"{side}/{path}") as (at, name):
                            at.write(name, store.objects.read(entry), 0o600)
                if conflict.kind == CONTENT and conflict.marked:
                    with top.below(f"{MERGED}/{path}") as (at, name):
                        at.write(name, conflict.marked, 0o600)
                number += 1
    except (OSError, NotPlain) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConflictsNotWritten(folder, reason) from error
    return number


def read_resolved(folder: str) -> tuple[tuple[bytes, bytes], ...]:
    """Return (path, content) of each file in the directory `merged` of a directory that `write_conflicts` made. Raises
    BadResolved and StillMarked."""
    top = os.path.join(folder, MERGED)
    try:
        return tuple(sorted(_files(top)))
    except (OSError, NotAFile, NotPlain, TooMuch) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise BadResolved(folder, reason) from error


def _files(top: str) -> Iterator[tuple[bytes, bytes]]:
    number = 0

    def fail(error: OSError) -> None:
        raise error

    for folder, _, names in os.walk(top, onerror=fail):
        with Folder(folder) as at:
            for name in sorted(names):
                number += 1
                if number > MAX_FILES:
                    raise BadResolved(top, f"more than {MAX_FILES:,} files")
                path = os.path.join(folder, name)
                content = at.read(name, MAX_FILE)
                if any(line.startswith(MARKS) for line in content.split(b"\n")):
                    raise StillMarked(path)
                yield os.fsencode(os.path.relpath(path, top)), content
