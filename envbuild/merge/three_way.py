"""The merge of three trees by path. Subtrees that one side left as they were are taken without being read."""

from __future__ import annotations

from envbuild.merge.attributes import merge_entries
from envbuild.record import NamedTuple
from envbuild.tree.diff import own
from envbuild.tree.entry import DIRECTORY, ROOT_NAME, Digest, Entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.tree.lookup import Trees


class Collision(NamedTuple):
    """A path that both sides changed, and differently. `merged` is what the tree has there until somebody decides, and
    `clashes` the attributes that can't go together (merge/attributes.py): none where the kinds differ, or where a side
    has nothing."""

    path: bytes
    base: Entry | None
    ours: Entry | None
    theirs: Entry | None
    merged: Entry | None
    clashes: tuple[str, ...] = ()

    @property
    def sides(self) -> tuple[Entry | None, Entry | None, Entry | None]:
        """What the three trees have there."""
        return self.base, self.ours, self.theirs


class Combined(NamedTuple):
    """The tree of two sides, and where they collide: there it has our side, or what is left of a deleted one. `removed`
    are directories that one side removed, which are there for what is in them."""

    tree: Digest
    collisions: list[Collision]
    removed: tuple[bytes, ...] = ()


_Listing = dict[bytes, Entry]


class _Directory:
    """A directory that both sides changed, while it is being merged. `kept` says whether it stays if nothing does that
    lies in it."""

    def __init__(self, path: bytes, parent: _Directory | None, name: bytes, entry: Entry | None, kept: bool) -> None:
        self.path = path
        self.parent = parent
        self.name = name
        self.entry = entry
        self.kept = kept
        self.entries: _Listing = {}


def combine(trees: Trees, base: Digest, ours: Digest, theirs: Digest) -> Combined:
    """Return the merge of two trees that began as `base`.

    combine(b, o, b) is o and combine(b, b, t) is t. The cost grows with the directories that both sides changed.
    """
    if ours == theirs or theirs == base:
        return Combined(ours, [])
    if ours == base:
        return Combined(theirs, [])
    collisions: list[Collision] = []
    root = _Directory(b"", None, b"", None, True)
    order = [root]
    pending: list[tuple[_Directory, Digest, Digest, Digest]] = [(root, base, ours, theirs)]
    # Nothing here calls itself: a tree may be deeper than Python's stack.
    while pending:
        directory, *digests = pending.pop()
        before, our, their = (_listing(trees, digest) for digest in digests)
        for name in our.keys() | their.keys():
            was, left, right = before.get(name), our.get(name), their.get(name)
            if left == right or right == was:
                taken = left
            elif left == was:
                taken = right
            else:
                inner = _both(directory, name, was, left, right, collisions)
                if inner is not None:
                    order.append(inner)
                    pending.append((inner, _inside(was), _inside(left), _inside(right)))
                continue
            if taken is not None:
                directory.entries[name] = taken
    digest = ""
    # Each directory comes after its parent in this list: from the end, children are saved first.
    for directory in reversed(order):
        if not directory.entries and not directory.kept:
            continue
        digest = trees.save(directory.entries.values())
        if directory.parent is not None:
            assert directory.entry is not None
            directory.parent.entries[directory.name] = directory.entry._replace(digest=digest)
    removed = sorted((directory.path.rstrip(b"/") for directory in order if not directory.kept), reverse=True)
    return Combined(digest, sorted(collisions, key=lambda collision: collision.path), tuple(removed))


def _both(
    directory: _Directory,
    name: bytes,
    base: Entry | None,
    ours: Entry | None,
    theirs: Entry | None,
    collisions: list[Collision],
) -> _Directory | None:
    """Merge what both sides changed at one path; return the directory to go on with, if it is one."""
    path = ROOT_NAME if name == ROOT_NAME else directory.path + name
    was = base if base is not None and ours is not None and base.kind == ours.kind else None
    if ours is not None and theirs is not None and ours.kind == theirs.kind == DIRECTORY:
        plain = None if was is None else own(was)
        merged, clashes = merge_entries(plain, own(ours), own(theirs))
        if clashes:
            collisions.append(Collision(path, plain, own(ours), own(theirs), merged, clashes))
        if name == ROOT_NAME:
            directory.entries[name] = merged
            return None
        return _Directory(path + b"/", directory, name, merged, True)
    if ours is not None and theirs is not None and ours.kind == theirs.kind:
        merged, clashes = merge_entries(was, ours, theirs)
        directory.entries[name] = merged
        if clashes:
            collisions.append(Collision(path, base, ours, theirs, merged, clashes))
        return None
    if (ours is None or theirs is None) and base is not None:
        left = ours if ours is not None else theirs
        assert left is not None
        if left.kind == base.kind == DIRECTORY and name != ROOT_NAME:
            # One side removed the directory: what the other put into it stays, and so does what it edited until
            # somebody decides.
            return _Directory(path + b"/", directory, name, left, False)
        if left._replace(mtime=base.mtime) == base:
            return None  # a time is nothing that keeps a file
    held = ours if ours is not None else theirs
    assert held is not None
    directory.entries[name] = held
    collisions.append(Collision(path, base, ours, theirs, held))
    return None


def _listing(trees: Trees, digest: Digest) -> _Listing:
    return {entry.name: entry for entry in trees.load(digest)} if digest else {}


def _inside(entry: Entry | None) -> Digest:
    return entry.digest if entry is not None and entry.kind == DIRECTORY else ""
