"""The locks that git left unmerged, merged package by package. git's own driver does the same in a clone that `envbuild
git install` set up; here it is done for the others."""

from __future__ import annotations

import os
from collections.abc import Iterator

from envbuild.build.recipe_files import MAX_LOCK
from envbuild.git.blobs import Blobs
from envbuild.git.repository import Repository
from envbuild.git.tracked_files import TrackedFile
from envbuild.linux.nofollow import read_plain
from envbuild.lockfile.lock import Lock
from envbuild.lockfile.lock_file import parse, write
from envbuild.lockfile.merge import Merged, dump, merge
from envbuild.record import Record

_LOCK = ".env.lock"
_BASE, _OURS, _THEIRS = 1, 2, 3
"""The stages of an unmerged file in git's index (git-ls-files(1))."""
_MARK = b"<<<<<<< "


class MergedLock(Record):
    """A lock that was merged: its path in the repository, and what came of it. With conflicts, git's markers are in the
    file."""

    path: str
    merged: Merged


def unmerged_paths(repository: Repository) -> list[str]:
    """Return the paths of the files whose merge git left to the user."""
    return sorted({file.path for file in repository.tracked(None) if file.stage})


def merge_locks(repository: Repository) -> Iterator[MergedLock]:
    """Merge the locks that git could not, and write them to the working tree. A lock in which somebody resolved the
    conflict stays as it is, and so does one that a side removed.

    The index is left to `git add`. Raises BadLock and what git's contents raise.
    """
    sides: dict[str, dict[int, TrackedFile]] = {}
    for file in repository.tracked(None):
        if file.stage and file.path.endswith(_LOCK):
            sides.setdefault(file.path, {})[file.stage] = file
    for path, files in sorted(sides.items()):
        if _OURS in files and _THEIRS in files and _has_marks(f"{os.path.realpath(repository.root)}/{path}"):
            with Blobs(repository.root) as blobs:
                base, ours, theirs = (
                    _lock(blobs, files.get(stage), path, side)
                    for stage, side in ((_BASE, "base"), (_OURS, "ours"), (_THEIRS, "theirs"))
                )
            assert ours is not None
            assert theirs is not None
            merged = merge(base, ours, theirs)
            write(f"{repository.root}/{path}", dump(merged))
            yield MergedLock(path, merged)


def _lock(blobs: Blobs, file: TrackedFile | None, path: str, side: str) -> Lock | None:
    if file is None:
        return None
    return parse(blobs.read(file.oid, MAX_LOCK).decode("utf-8", "replace"), f"{path} ({side})")


def _has_marks(path: str) -> bool:
    """Return whether a file has the marks of a conflict. One that can't be read, such as a link, has none."""
    try:
        return any(line.startswith(_MARK) for line in read_plain(path, MAX_LOCK).split(b"\n"))
    except OSError:
        return False
