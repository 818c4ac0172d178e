"""Whether files of a working tree are as their commit has them, found without git looking at them.

`git status` would run what the repository's settings name for it, and filters over files that changed. Here a file is
as committed if its own content gives the id that index and commit have for it, or if nothing touched it since git
itself looked at it last.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator, Sequence

from envbuild.git.listing import LINK, SUBMODULE, Listed
from envbuild.git.repository import Repository
from envbuild.linux.nofollow import open_real
from envbuild.record import Record

_LOCK = ".env.lock"
_CHUNK = 1 << 20
_32_BITS = (1 << 32) - 1


class Changed(Record):
    """A file that is not as its commit has it. `converted` are the attributes by which git would have made another
    content of it: then it may be unchanged, and only what is never run could tell."""

    path: str
    converted: str


def changed_files(repository: Repository, paths: Iterable[str], folders: Sequence[str]) -> Iterator[Changed]:
    """Those of `paths` (real and absolute) that are not as the commit has them; and those of its files and links below
    `folders` that are gone, or lead elsewhere. Locks do not count: each build writes its own.

    Raises NoSuchRevision where nothing is committed yet.
    """
    root = os.path.realpath(repository.root)
    wanted = sorted({os.path.relpath(path, root) for path in paths})
    scope = _topmost([*(os.path.relpath(folder, root) for folder in folders), *map(os.path.dirname, wanted)])
    head = {str(one.path): one for one in repository.tracked(repository.commit_of("HEAD"), scope)}
    index = {str(one.path): one for one in repository.tracked(None, scope)}
    changed = [path for path in wanted if not path.endswith(_LOCK) and not _as_committed(root, path, index, head)]
    changed += [
        path
        for path in sorted({*head, *index}.difference(wanted))
        if not path.endswith(_LOCK) and _gone_or_led_elsewhere(root, path, index, head)
    ]
    converted = repository.converted(changed) if changed else {}
    for path in changed:
        yield Changed(path, converted.get(path, ""))


def _topmost(folders: Iterable[str]) -> list[str]:
    """The folders that lie in no other of them; none where that is the repository itself."""
    found: list[str] = []
    for folder in sorted(folders):
        if folder in ("", "."):
            return []
        if not any(folder == one or folder.startswith(f"{one}/") for one in found):
            found.append(folder)
    return found


def _as_committed(root: str, path: str, index: dict[str, Listed], head: dict[str, Listed]) -> bool:
    one = index.get(path)
    committed = head.get(path)
    if one is None or committed is None or one.stage or (one.mode, one.oid) != (committed.mode, committed.oid):
        return False
    return _same(root, one)


def _gone_or_led_elsewhere(root: str, path: str, index: dict[str, Listed], head: dict[str, Listed]) -> bool:
    one = index.get(path) or head[path]
    if one.skipped or one.mode == SUBMODULE:
        return False
    if one.mode == LINK:
        return not _as_committed(root, path, index, head)
    return not os.path.lexists(os.path.join(root, path))


def _same(root: str, one: Listed) -> bool:
    """Whether a file is as the index has it."""
    path = os.path.join(root, one.path)
    try:
        if one.mode == LINK:
            target = os.fsencode(os.readlink(path))
            return _id_of(len(target), [target], one.oid) == one.oid
        descriptor = open_real(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM):
            raise
        return False
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return False
        if one.status is not None and _seen(status) == one.status:
            return True
        if bool(status.st_mode & 0o100) != bool(one.mode & 0o100):
            return False
        chunks = iter(lambda: os.read(descriptor, _CHUNK), b"")
        return _id_of(status.st_size, chunks, one.oid) == one.oid
    finally:
        os.close(descriptor)


def _seen(status: os.stat_result) -> tuple[int, int, int, int]:
    """A file's status in the index's form."""
    return status.st_ctime_ns, status.st_mtime_ns, status.st_ino & _32_BITS, status.st_size & _32_BITS


def _id_of(size: int, chunks: Iterable[bytes], like: str) -> str:
    """The id that git gives a content (gitformat-pack(5)): of SHA-1, or of SHA-256 where the repository has those."""
    import hashlib

    state = hashlib.sha256() if len(like) == 64 else hashlib.sha1(usedforsecurity=False)
    state.update(b"blob %d\0" % size)
    for chunk in chunks:
        state.update(chunk)
    return state.hexdigest()
