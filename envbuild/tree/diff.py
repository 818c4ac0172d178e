"""What differs between two trees, found by walking only where their digests differ."""

from __future__ import annotations

from collections.abc import Iterator

from envbuild.record import NamedTuple
from envbuild.tree.entry import DIRECTORY, ROOT_NAME, Digest, Entry
from envbuild.tree.forest import Trees, walk


class Change(NamedTuple):
    """One path that differs: `before` is None where it was added, `after` None where it was removed.

    A directory that was added or removed is one change with its whole subtree; a directory in both trees is a
    change only if its own attributes differ, beside the changes inside it. The root's own path is `.`.
    """

    path: bytes
    before: Entry | None
    after: Entry | None


def diff(trees: Trees, a: Digest, b: Digest) -> Iterator[Change]:
    """The changes that lead from tree `a` to tree `b`, sorted within each directory.

    Equal subtrees are skipped without being loaded: the cost grows with the change, not with the trees.
    """
    pending = [(b"", a, b)]
    while pending:
        prefix, before_digest, after_digest = pending.pop()
        if before_digest == after_digest:
            continue
        before = {entry.name: entry for entry in trees.load(before_digest)}
        after = {entry.name: entry for entry in trees.load(after_digest)}
        deeper = []
        for name in sorted(before.keys() | after.keys()):
            old, new = before.get(name), after.get(name)
            if old == new:
                continue
            path = ROOT_NAME if name == ROOT_NAME else prefix + name
            if old is not None and new is not None and old.kind == new.kind == DIRECTORY and name != ROOT_NAME:
                if own(old) != own(new):
                    yield Change(path, old, new)
                deeper.append((path + b"/", old.digest, new.digest))
            else:
                yield Change(path, old, new)
        pending += reversed(deeper)


def amount(trees: Trees, a: Digest, b: Digest) -> tuple[int, int]:
    """How many entries are new or changed in `b` against `a`, and the bytes of the files among them."""
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


def own(entry: Entry) -> Entry:
    """An entry without its content: what remains is the directory's own."""
    return entry._replace(digest="")
