"""What differs between two trees, found by walking only where their digests differ."""

from __future__ import annotations

from envbuild.record import NamedTuple
from envbuild.tree.entry import DIRECTORY, FILE, ROOT_NAME, Digest, Entry
from envbuild.tree.lookup import Trees, differing, walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Change(NamedTuple):
    """One path that differs: `before` is None where it was added, `after` None where it was removed.

    A directory that was added or removed is one change with its whole subtree; a directory in both trees is a
    change only if its own attributes differ, beside the changes inside it. The root's own path is `.`.
    """

    path: bytes
    before: Entry | None
    after: Entry | None


def diff(trees: Trees, a: Digest, b: Digest) -> Iterator[Change]:
    """Return the changes that lead from tree `a` to tree `b`, sorted within each directory.

    Equal subtrees are skipped without being loaded: the cost grows with the change, not with the trees.
    """
    pending = [(b"", a, b)]
    while pending:
        prefix, before_digest, after_digest = pending.pop()
        if before_digest == after_digest:
            continue
        before, after = (
            {entry.name: entry for entry in entries} for entries in differing(trees, before_digest, after_digest)
        )
        deeper = []
        for name in sorted(before.keys() | after.keys()):
            old, new = before.get(name), after.get(name)
            path = ROOT_NAME if name == ROOT_NAME else prefix + name
            if old is not None and new is not None and old.kind == new.kind == DIRECTORY and name != ROOT_NAME:
                if own(old) != own(new):
                    yield Change(path, old, new)
                deeper.append((path + b"/", old.digest, new.digest))
            else:
                yield Change(path, old, new)
        pending += reversed(deeper)


def expanded(trees: Trees, changes: Iterable[Change]) -> Iterator[Change]:
    """Return the changes with one for each path inside a directory that was added or removed, behind the directory's
    own.

    Where a directory took the place of something else, or the other way round, that is a change of its path and the
    paths inside are changes beside it.
    """
    for change in changes:
        yield change
        if change.path == ROOT_NAME:
            continue
        before, after = change.before, change.after
        both = before is not None and after is not None and before.kind == after.kind
        if before is not None and before.kind == DIRECTORY and not both:
            for path, entry in walk(trees, before.digest, change.path + b"/"):
                yield Change(path, entry, None)
        if after is not None and after.kind == DIRECTORY and not both:
            for path, entry in walk(trees, after.digest, change.path + b"/"):
                yield Change(path, None, entry)


def aspects(change: Change) -> tuple[str, ...]:
    """Return in what a path of both trees differs: some of `kind`, `content`, `target`, `mode`, `owner`, `time`,
    `xattrs`."""
    before, after = change.before, change.after
    if before is None or after is None:
        return ()
    if before.kind != after.kind:
        return ("kind",)
    different = []
    if before.kind == FILE and before.digest != after.digest:
        different.append("content")
    for name, differs in (
        ("target", before.target != after.target),
        ("mode", before.mode != after.mode),
        ("owner", (before.uid, before.gid) != (after.uid, after.gid)),
        ("time", before.mtime != after.mtime),
        ("xattrs", before.xattrs != after.xattrs),
    ):
        if differs:
            different.append(name)
    return tuple(different)


def amount(trees: Trees, a: Digest, b: Digest) -> tuple[int, int]:
    """Return how many entries are new or changed in `b` against `a`, and the bytes of the files among them."""
    count = size = 0
    for change in diff(trees, a, b):
        if change.after is None:
            continue
        count += 1
        size += change.after.size
        if change.after.kind == DIRECTORY and change.before is None:
            for _, entry in walk(trees, change.after.digest):
                count += 1
                size += entry.size
    return count, size


def removed_amount(trees: Trees, a: Digest, b: Digest) -> tuple[int, int]:
    """Return how many files and links of `a` are gone in `b`, and their bytes."""
    count = size = 0
    for change in expanded(trees, diff(trees, a, b)):
        if change.after is None and change.before is not None and change.before.kind != DIRECTORY:
            count += 1
            size += change.before.size
    return count, size


def own(entry: Entry) -> Entry:
    """Return an entry without its content: what remains is the directory's own."""
    return entry._replace(digest="")
