"""What a commit or an index holds, as git's plumbing lists it. Names are refused before they become paths."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from envbuild.errors import UsageError
from envbuild.record import Record

FILE, PROGRAM, LINK, SUBMODULE = 0o100644, 0o100755, 0o120000, 0o160000
"""The modes that git gives files."""
MOST_FILES = 500_000
DEEPEST = 400
_NAME_MAX = 255
_TREE = re.compile(rb"([0-7]{6}) (\w+) ([0-9a-f]{40,64})\t(.*)", re.DOTALL)
_INDEX = re.compile(rb"([0-7]{6}) ([0-9a-f]{40,64}) ([0-3])\t(.*)", re.DOTALL)
_STATUS = re.compile(
    rb"\s*ctime: (\d{1,19}):(\d{1,10})\s+mtime: (\d{1,19}):(\d{1,10})\s+dev: \d+\s+ino: (\d{1,20})\s+uid: \d+\s+"
    rb"gid: \d+\s+size: (\d{1,19})\s+flags: ([0-9a-f]{1,16})\n"
)
_SKIPPED = 0x40000000
"""The flag of a file that a sparse check-out leaves out (git's CE_SKIP_WORKTREE)."""


class BadTree(UsageError):
    """A commit has files that no working tree can hold."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the commit can't be read: {reason}", "git fsck --strict says what is wrong with it")


class TreePath(str):
    """The path of a file in a repository: plain names with slashes between, none of which leads anywhere else."""

    def __new__(cls, text: str) -> TreePath:
        """Raises BadTree for a name that is empty, `.`, `..` or `.git`, and for one that is too long."""
        parts = text.split("/")
        if len(parts) > DEEPEST:
            raise BadTree(f"{text[:80]}... lies deeper than {DEEPEST} folders")
        for part in parts:
            if part in ("", ".", "..") or part.lower() == ".git" or "\0" in part:
                raise BadTree(f"it has a file '{text}'")
            if len(os.fsencode(part)) > _NAME_MAX:
                raise BadTree(f"the name {part[:80]}... is longer than {_NAME_MAX} bytes")
        return super().__new__(cls, text)


class Listed(Record):
    """One file of a commit or an index. Of an index, `stage` is not 0 in a merge, `status` is (ctime, mtime, inode,
    size) of the file when git last saw it, and `skipped` says that it need not be there."""

    mode: int
    oid: str
    path: TreePath
    stage: int = 0
    status: tuple[int, int, int, int] | None = None
    skipped: bool = False


def of_tree(said: bytes) -> Iterator[Listed]:
    """The files that `git ls-tree -z -r` lists. Raises BadTree."""
    for number, line in enumerate(said.split(b"\0")[:-1]):
        found = _TREE.fullmatch(line)
        if found is None or number >= MOST_FILES:
            raise BadTree(f"more than {MOST_FILES} files" if found else "git lists it in a form that is not known")
        yield Listed(int(found[1], 8), found[3].decode(), TreePath(os.fsdecode(found[4])))


def of_index(said: bytes) -> Iterator[Listed]:
    """The files that `git ls-files -z -s`, also with `--debug`, lists. Raises BadTree."""
    position = 0
    number = 0
    while position < len(said):
        end = said.find(b"\0", position)
        found = _INDEX.fullmatch(said, position, end)
        if found is None or number >= MOST_FILES:
            raise BadTree(f"more than {MOST_FILES} files" if found else "git lists it in a form that is not known")
        position, number = end + 1, number + 1
        seen = _STATUS.match(said, position)
        status, skipped = None, False
        if seen is not None:
            position = seen.end()
            one, two, three, four, inode, size = map(int, seen.groups()[:6])
            status = one * 10**9 + two, three * 10**9 + four, inode, size
            skipped = bool(int(seen[7], 16) & _SKIPPED)
        path = TreePath(os.fsdecode(found[4]))
        yield Listed(int(found[1], 8), found[2].decode(), path, int(found[3]), status, skipped)
