"""The directories of indexed layers put together into the tree of their image, in memory; what the store has of them
is not read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from envbuild.archive.limits import MAX_TIME, Limits
from envbuild.archive.tar import MAX_XATTR
from envbuild.bases.tarball import KEPT_XATTRS, OVERLAY
from envbuild.oci.layer_index import BadIndex, Directory, LayerIndex
from envbuild.oci.layer_tar import WHITEOUT
from envbuild.record import Record
from envbuild.store.trees import StoredTrees
from envbuild.tree.entry import (
    DIRECTORY,
    EMPTY_CONTENT,
    FIFO,
    FILE,
    LINK,
    ROOT_NAME,
    Digest,
    Entry,
    decode,
    digest_of,
    encode,
)
from envbuild.tree.overlay import overlay, without

_MAX_MTIME = MAX_TIME * 1_000_000_000
_MAX_ID = (1 << 32) - 1
_MAX_NAME = 255
_HEXADECIMAL = frozenset("0123456789abcdef")


class Place(Record):
    """Where a content is: the number of its layer, and where in the archive it begins."""

    layer: int
    start: int


class LayerDirectories:
    """The directories of an image's layers, lowest first, as trees: of the store, of the indexes, and made of these.

    With `complete` False nothing is taken for being in the store: something is lost there."""

    def __init__(self, trees: StoredTrees, indexes: Sequence[LayerIndex], *, complete: bool = True) -> None:
        self._trees = trees
        self._indexes = indexes
        self._complete = complete
        self._made: dict[Digest, tuple[bytes, tuple[Entry, ...]]] = {}
        self._places: dict[Digest, Place] = {}
        self._placed_all = False

    def has(self, digest: Digest) -> bool:
        """Return whether the store has a directory, and all that lies in it."""
        return self._complete and self._trees.has(digest)

    def load(self, digest: Digest) -> tuple[Entry, ...]:
        """Return the entries of a directory. Raises BadIndex and StoreDamaged."""
        if digest in self._made:
            return self._made[digest][1]
        if self.has(digest):
            return self._trees.load(digest)
        for number, index in enumerate(self._indexes):
            directory = index.directories.get(digest)
            if directory is not None:
                listed = self._read(directory, number, top=digest == index.root)
                self._made[digest] = directory.body, listed
                return listed
        raise BadIndex("a directory is missing")

    def save(self, entries: Iterable[Entry]) -> Digest:
        """Keep a directory in memory."""
        listed = tuple(sorted(entries))
        body = encode(listed)
        digest = digest_of(body)
        self._made[digest] = body, listed
        return digest

    def image(self) -> Digest:
        """Return the tree of all layers. Raises BadIndex and StoreDamaged."""
        tree = self.save([Entry(ROOT_NAME, DIRECTORY, 0o755, 0, 0, 0)])
        for index in self._indexes:
            tree = overlay(self, without(self, tree, index.gone), index.root)
        return tree

    def new(self, tree: Digest) -> dict[Digest, tuple[bytes, tuple[Entry, ...]]]:
        """Return the directories of a tree that the store lacks, with body and entries. Raises BadIndex."""
        new: dict[Digest, tuple[bytes, tuple[Entry, ...]]] = {}
        pending = [tree]
        while pending:
            digest = pending.pop()
            if digest in new or self.has(digest):
                continue
            listed = self.load(digest)
            if digest != tree and any(entry.name == ROOT_NAME for entry in listed):
                raise BadIndex("a directory holds the attributes of a root")
            new[digest] = self._made[digest]
            pending += [entry.digest for entry in listed if entry.kind == DIRECTORY and entry.digest]
        return new

    def place_of(self, content: Digest) -> Place:
        """Return where a content is that a directory of the layers names. Raises BadIndex."""
        if content not in self._places and not self._placed_all:
            # Of directories that the store has nothing was read so far.
            self._placed_all = True
            for number, index in enumerate(self._indexes):
                for digest, directory in index.directories.items():
                    self._read(directory, number, top=digest == index.root)
        if content not in self._places:
            raise BadIndex("a file's content is in no layer")
        return self._places[content]

    def _read(self, directory: Directory, number: int, *, top: bool) -> tuple[Entry, ...]:
        try:
            listed = decode(directory.body)
        except ValueError as error:
            raise BadIndex(str(error)) from error
        if encode(listed) != directory.body or len({entry.name for entry in listed}) < len(listed):
            raise BadIndex("a directory is not in its canonical form")
        contents = []
        for entry in listed:
            _check(entry, top=top)
            if entry.kind == FILE and entry.size:
                contents.append(entry.digest)
        if len(contents) != len(directory.places):
            raise BadIndex("a directory has contents that lie nowhere")
        for content, start in zip(contents, directory.places, strict=True):
            self._places.setdefault(content, Place(number, start))
        return listed


def _check(entry: Entry, *, top: bool) -> None:
    """Refuse what no archive brings into a tree (bases.tarball). Raises BadIndex."""
    is_root = entry.name == ROOT_NAME
    if entry.kind not in (FILE, DIRECTORY, LINK, FIFO) or (is_root and not (top and entry.kind == DIRECTORY)):
        raise BadIndex("it has an entry that no layer has")
    if len(entry.name) > _MAX_NAME or entry.name.startswith(WHITEOUT):
        raise BadIndex("it has a name that no layer has")
    if max(entry.uid, entry.gid) >= _MAX_ID or not 0 <= entry.mtime <= _MAX_MTIME:
        raise BadIndex("it has an owner or a time that no layer has")
    if entry.kind in (FILE, DIRECTORY) and not is_root:
        if len(entry.digest) != len(EMPTY_CONTENT) or not _HEXADECIMAL.issuperset(entry.digest):
            raise BadIndex("it has a content without a digest")
    elif entry.digest or (entry.kind == FIFO and entry.target):
        raise BadIndex("it has a content where none can be")
    if (entry.size != 0) != (entry.kind == FILE and entry.digest != EMPTY_CONTENT):
        raise BadIndex("it has a size that its content has not")
    if entry.kind == LINK and (not 0 < len(entry.target) < Limits().path or entry.mode != 0o777):
        raise BadIndex("it has a link that no layer has")
    for name, value in entry.xattrs:
        kept = name.startswith(KEPT_XATTRS) and not name.startswith(OVERLAY) and b"\0" not in name
        if not kept or len(name) > _MAX_NAME or len(value) > MAX_XATTR or entry.kind not in (FILE, DIRECTORY):
            raise BadIndex("it has an attribute that no layer has")
