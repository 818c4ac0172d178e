"""The files of a working tree that differ from their commit, found without git reading them.

`git status` would run programs that the repository's settings name, and filters over changed files. Here a file counts
as committed if its content has the id that index and commit have for it, or if nothing touched it since git itself last
looked at it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence

from envbuild.git.content_ids import content_id
from envbuild.git.repository import Repository
from envbuild.git.tracked_files import LINK, SUBMODULE, TrackedFile
from envbuild.linux.nofollow import open_real
from envbuild.record import Record

_LOCK = ".env.lock"
_CHUNK = 1 << 20
_32_BITS = (1 << 32) - 1


class ChangedFile(Record):
    """A file that differs from its commit. `converted` are the attributes by which git converts its content: with any,
    the file may be unchanged, and only git's filters, which are never run, could tell."""

    path: str
    converted: str


def changed_files(repository: Repository, paths: Iterable[str], folders: Sequence[str]) -> Iterator[ChangedFile]:
    """Yield those of `paths` (real and absolute) that differ from the commit, and the commit's files and links below
    `folders` that are gone or have another target. Locks do not count: each build writes its own.

    Raises NoSuchRevision if nothing is committed yet.
    """
    root = os.path.realpath(repository.root)
    wanted = sorted({os.path.relpath(path, root) for path in paths})
    scope = _topmost([*(os.path.relpath(folder, root) for folder in folders), *map(os.path.dirname, wanted)])
    head = {str(file.path): file for file in repository.tracked(repository.commit_of("HEAD"), scope)}
    index = {str(file.path): file for file in repository.tracked(None, scope)}
    changed = [path for path in wanted if not path.endswith(_LOCK) and not as_committed(root, path, index, head)]
    changed += [
        path
        for path in sorted({*head, *index}.difference(wanted))
        if not path.endswith(_LOCK) and _gone_or_retargeted(root, path, index, head)
    ]
    converted = repository.converted(changed) if changed else {}
    for path in changed:
        yield ChangedFile(path, converted.get(path, ""))


def _topmost(folders: Iterable[str]) -> list[str]:
    """Return the directories that lie in no other of them; none if one is the repository itself."""
    topmost: list[str] = []
    for folder in sorted(folders):
        if folder in ("", "."):
            return []
        if not any(folder == above or folder.startswith(f"{above}/") for above in topmost):
            topmost.append(folder)
    return topmost


def as_committed(root: str, path: str, index: Mapping[str, TrackedFile], head: Mapping[str, TrackedFile]) -> bool:
    """Return whether index and working tree have a file as `head`, the files of a commit, has it."""
    staged, committed = index.get(path), head.get(path)
    if staged is None or committed is None or staged.stage:
        return False
    return (staged.mode, staged.oid) == (committed.mode, committed.oid) and _same(root, staged)


def _gone_or_retargeted(root: str, path: str, index: dict[str, TrackedFile], head: dict[str, TrackedFile]) -> bool:
    tracked = index.get(path) or head[path]
    if tracked.skipped or tracked.mode == SUBMODULE:
        return False
    if tracked.mode == LINK:
        return not as_committed(root, path, index, head)
    return not os.path.lexists(os.path.join(root, path))


def _same(root: str, tracked: TrackedFile) -> bool:
    """Return whether a file is as the index has it."""
    path = os.path.join(root, tracked.path)
    try:
        if tracked.mode == LINK:
            target = os.fsencode(os.readlink(path))
            return content_id(len(target), [target], tracked.oid) == tracked.oid
        descriptor = open_real(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM):
            raise
        return False
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return False
        if tracked.status is not None and _index_status(status) == tracked.status:
            return True
        if bool(status.st_mode & 0o100) != bool(tracked.mode & 0o100):
            return False
        chunks = iter(lambda: os.read(descriptor, _CHUNK), b"")
        return content_id(status.st_size, chunks, tracked.oid) == tracked.oid
    finally:
        os.close(descriptor)


def _index_status(status: os.stat_result) -> tuple[int, int, int, int]:
    """Return a file's status as the index stores it."""
    return status.st_ctime_ns, status.st_mtime_ns, status.st_ino & _32_BITS, status.st_size & _32_BITS
