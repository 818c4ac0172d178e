"""The files of a commit or an index, parsed from the output of git's plumbing. Bad names are refused before they become
paths."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from envbuild.errors import UsageError, fields
from envbuild.record import Record

LINK, SUBMODULE = 0o120000, 0o160000
"""The modes that git gives links and submodules."""
MAX_FILES = 500_000
MAX_DEPTH = 400
MAX_NAME = 255
_TREE = re.compile(rb"([0-7]{6}) (\w+) ([0-9a-f]{40,64})\t(.*)", re.DOTALL)
_INDEX = re.compile(rb"([0-7]{6}) ([0-9a-f]{40,64}) ([0-3])\t(.*)", re.DOTALL)
_STATUS = re.compile(
    rb"\s*ctime: (\d{1,19}):(\d{1,10})\s+mtime: (\d{1,19}):(\d{1,10})\s+dev: \d+\s+ino: (\d{1,20})\s+uid: \d+\s+"
    rb"gid: \d+\s+size: (\d{1,19})\s+flags: ([0-9a-f]{1,16})\n"
)
_SKIPPED = 0x40000000
"""The flag of a file that a sparse checkout leaves out (git's CE_SKIP_WORKTREE)."""


@fields
class BadTree(UsageError):
    """A commit with files that no working tree can hold."""

    reason: str

    def text(self) -> tuple[str, str]:
        return f"the commit can't be read: {self.reason}", "find out what is wrong with it: git fsck --strict"


class TreePath(str):
    """The path of a file in a repository: plain names separated by slashes, none of which leads out of it."""

    def __new__(cls, text: str) -> TreePath:
        """Check the path. Raises BadTree for a name that is empty, `.`, `..` or `.git`, and for one that is too
        long."""
        parts = text.split("/")
        if len(parts) > MAX_DEPTH:
            raise BadTree(f"{text[:80]}... lies deeper than {MAX_DEPTH} folders")
        for part in parts:
            if part in ("", ".", "..") or part.lower() == ".git" or "\0" in part:
                raise BadTree(f"it has a file '{text}'")
            if len(os.fsencode(part)) > MAX_NAME:
                raise BadTree(f"the name {part[:80]}... is longer than {MAX_NAME} bytes")
        return super().__new__(cls, text)


class TrackedFile(Record):
    """A file of a commit or an index. In an index, `stage` is not 0 during a merge, `status` is (ctime, mtime, inode,
    size) of the file when git last saw it, and `skipped` says that a sparse checkout leaves it out."""

    mode: int
    oid: str
    path: TreePath
    stage: int = 0
    status: tuple[int, int, int, int] | None = None
    skipped: bool = False


def files_of_tree(listing: bytes) -> Iterator[TrackedFile]:
    """Yield the files in the output of `git ls-tree -z -r`. Raises BadTree."""
    for number, line in enumerate(listing.split(b"\0")[:-1]):
        match = _TREE.fullmatch(line)
        if match is None or number >= MAX_FILES:
            raise BadTree(f"it has more than {MAX_FILES} files" if match else "git lists it in an unknown format")
        yield TrackedFile(int(match[1], 8), match[3].decode(), TreePath(os.fsdecode(match[4])))


def files_of_index(listing: bytes) -> Iterator[TrackedFile]:
    """Yield the files in the output of `git ls-files -z -s`, also with `--debug`. Raises BadTree."""
    position = 0
    number = 0
    while position < len(listing):
        end = listing.find(b"\0", position)
        match = _INDEX.fullmatch(listing, position, end)
        if match is None or number >= MAX_FILES:
            raise BadTree(f"it has more than {MAX_FILES} files" if match else "git lists it in an unknown format")
        position, number = end + 1, number + 1
        seen = _STATUS.match(listing, position)
        status, skipped = None, False
        if seen is not None:
            position = seen.end()
            ctime, ctime_ns, mtime, mtime_ns, inode, size = map(int, seen.groups()[:6])
            status = ctime * 10**9 + ctime_ns, mtime * 10**9 + mtime_ns, inode, size
            skipped = bool(int(seen[7], 16) & _SKIPPED)
        path = TreePath(os.fsdecode(match[4]))
        yield TrackedFile(int(match[1], 8), match[2].decode(), path, int(match[3]), status, skipped)
