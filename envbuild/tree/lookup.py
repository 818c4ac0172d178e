"""Where trees are kept, as far as the functions of this directory care, and how to find one's way in a tree."""

from __future__ import annotations

from envbuild.errors import UsageError, fields
from envbuild.tree.entry import DIRECTORY, LINK, ROOT_NAME, Digest, Entry, decode, digest_of, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Protocol
else:
    Protocol = object  # importing typing takes 2 ms of every start

MAX_LINKS = 40
"""As many links are followed in one look-up as Linux does (path_resolution(7))."""


class Trees(Protocol):
    """Directories by digest. A directory that was loaded or saved never changes."""

    def load(self, digest: Digest) -> tuple[Entry, ...]:
        """Return the entries of a directory, sorted by name. Raises KeyError if it isn't there."""

    def save(self, entries: Iterable[Entry]) -> Digest:
        """Keep a directory with these entries, and return its digest."""


class ComparedTrees:
    """Trees that say what differs between two directories at less than the cost of loading both."""

    def differing(self, a: Digest, b: Digest) -> tuple[tuple[Entry, ...], tuple[Entry, ...]]:
        """Return the entries that only one of two directories has: those of `a`, and those of `b`."""
        raise NotImplementedError


def differing(trees: Trees, a: Digest, b: Digest) -> tuple[tuple[Entry, ...], tuple[Entry, ...]]:
    """Return the entries that only one of two directories has: those of `a`, and those of `b`."""
    if isinstance(trees, ComparedTrees):
        return trees.differing(a, b)
    return entries_differing(trees.load(a), trees.load(b))


def entries_differing(a: Iterable[Entry], b: Iterable[Entry]) -> tuple[tuple[Entry, ...], tuple[Entry, ...]]:
    """Return the entries that are only in `a`, and those only in `b`, in their order."""
    ours, theirs = dict.fromkeys(a), dict.fromkeys(b)
    before = tuple(entry for entry in ours if entry not in theirs)
    return before, tuple(entry for entry in theirs if entry not in ours)


class MemoryTrees:
    """Trees in a dictionary: for trees that may never be needed on disk, and for tests."""

    def __init__(self) -> None:
        self.bodies: dict[Digest, bytes] = {}

    def load(self, digest: Digest) -> tuple[Entry, ...]:
        return decode(self.bodies[digest])

    def save(self, entries: Iterable[Entry]) -> Digest:
        body = encode(entries)
        digest = digest_of(body)
        self.bodies[digest] = body
        return digest


@fields
class LinkCircle(UsageError):
    """Links of a tree that lead to each other."""

    path: bytes

    def text(self) -> tuple[str, str]:
        return f"too many links on the way to /{self.path.decode(errors='backslashreplace')}", ""


def has_tmp(trees: Trees, root: Digest) -> bool:
    """Return whether a tree has something in /tmp."""
    entry = lookup(trees, root, b"tmp")
    return entry is not None and entry.kind == DIRECTORY and bool(entry.digest) and bool(trees.load(entry.digest))


def root_entry(trees: Trees, root: Digest) -> Entry:
    """Return the root itself as a directory entry named `.` with the attributes that the tree records for it."""
    own = next((entry for entry in trees.load(root) if entry.name == ROOT_NAME), None)
    if own is None:
        return Entry(ROOT_NAME, DIRECTORY, 0o755, 0, 0, 0, 0, root)
    return own._replace(digest=root)


def child(trees: Trees, directory: Digest, name: bytes) -> Entry | None:
    """Return the entry of this name in a directory."""
    return next((entry for entry in trees.load(directory) if entry.name == name), None)


def entry_at(trees: Trees, root: Digest, path: bytes) -> Entry | None:
    """Return what lies at a path that leads through no link, None where a directory on the way is missing or a link."""
    entry = root_entry(trees, root)
    for name in path.split(b"/"):
        inner = child(trees, entry.digest, name) if entry.kind == DIRECTORY else None
        if inner is None:
            return None
        entry = inner
    return entry


def lookup(trees: Trees, root: Digest, path: bytes, *, follow: bool = True) -> Entry | None:
    """Return what lies at `path` in the tree, None if nothing does.

    Links on the way are followed within the tree, and the last one too if `follow`. Raises LinkCircle.
    """
    resolved = resolve(trees, root, path, follow=follow)
    return None if resolved is None else resolved[1]


def resolve(trees: Trees, root: Digest, path: bytes, *, follow: bool = True) -> tuple[bytes, Entry] | None:
    """Return the true path (without slashes around it) and the entry of `path`; None if nothing lies there."""
    real, rest = real_path(trees, root, path, follow=follow)
    if rest:
        return None
    entry = root_entry(trees, root)
    for part in filter(None, real.split(b"/")):
        inner = child(trees, entry.digest, part)
        assert inner is not None
        entry = inner
    return real, entry


def real_path(trees: Trees, root: Digest, path: bytes, *, follow: bool = True) -> tuple[bytes, bytes]:
    """Return where `path` leads: the part that exists, free of links, and the rest that does not exist.

    `..` goes up at most to the root, as under chroot(2). A file on the way ends the part that exists.
    """
    pending = [part for part in reversed(path.split(b"/")) if part not in (b"", b".")]
    names: list[bytes] = []
    entries = [root_entry(trees, root)]
    links = 0
    while pending:
        part = pending.pop()
        if part == b"..":
            if names:
                names.pop()
                entries.pop()
            continue
        here = entries[-1]
        inner = child(trees, here.digest, part) if here.kind == DIRECTORY else None
        if inner is None:
            return b"/".join(names), b"/".join([part, *reversed(pending)])
        if inner.kind == LINK and (pending or follow):
            links += 1
            if links > MAX_LINKS:
                raise LinkCircle(path)
            if inner.target.startswith(b"/"):
                del names[:], entries[1:]
            pending += [step for step in reversed(inner.target.split(b"/")) if step not in (b"", b".")]
            continue
        names.append(part)
        entries.append(inner)
    return b"/".join(names), b""


def walk(trees: Trees, root: Digest, prefix: bytes = b"") -> Iterator[tuple[bytes, Entry]]:
    """Return every entry of a tree with its path, parents before children, sorted; the root's own is not among them."""
    pending = [(prefix, root)]
    while pending:
        prefix, directory = pending.pop()
        deeper = []
        for entry in trees.load(directory):
            if entry.name == ROOT_NAME:
                continue
            path = prefix + entry.name
            yield path, entry
            if entry.kind == DIRECTORY:
                deeper.append((path + b"/", entry.digest))
        pending += reversed(deeper)
