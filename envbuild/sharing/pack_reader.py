"""Takes trees out of packs into the store: only what the store lacks, each part held against its digest."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from hashlib import sha256
from typing import IO

from envbuild.archive.compression import Uncompressed, uncompressed
from envbuild.archive.limits import ArchiveError
from envbuild.linux.attributes import apply_attributes
from envbuild.record import Record
from envbuild.sharing.tree_pack import BadPack, Index
from envbuild.store.step_cache import ContentChanged
from envbuild.store.store import Store
from envbuild.tree.entry import DIRECTORY, FILE, ROOT_NAME, Digest, Entry, encode, object_id

MAX_DEPTH = 256
_SMALL = 1 << 20
_CHUNK = 1 << 20


class Wanted(Record):
    """What the store lacks of a tree: directories, files that hold nothing, and for each pack, by its number, the files
    whose contents it has, by content; several have one where they have other attributes."""

    directories: dict[Digest, tuple[Entry, ...]]
    empty: tuple[Entry, ...]
    files: dict[int, dict[Digest, tuple[Entry, ...]]]


def directory_of(packs: Sequence[Index], digest: Digest) -> tuple[Entry, ...] | None:
    """Return the entries of a directory that a pack has, None if none does."""
    return next((index.directories[digest] for index in packs if digest in index.directories), None)


def wanted_of(store: Store, packs: Sequence[Index], tree: Digest, seen: Container[Digest] = ()) -> Wanted:
    """Return what the store lacks of a tree, but for the directories `seen`, with all that is in them. Raises BadPack
    where no pack has it."""
    directories: dict[Digest, tuple[Entry, ...]] = {}
    empty: dict[Digest, Entry] = {}
    files: dict[int, dict[Digest, dict[Digest, Entry]]] = {}
    lying = {digest: (number, size) for number, index in enumerate(packs) for digest, size in index.contents}
    pending = [(tree, 0)]
    while pending:
        digest, depth = pending.pop()
        if digest in directories or digest in seen or store.trees.has(digest):
            continue
        entries = directory_of(packs, digest)
        if entries is None:
            raise BadPack(f"the directory {digest[:12]} is in none of them")
        if depth > MAX_DEPTH or (depth == 0) != any(entry.name == ROOT_NAME for entry in entries):
            raise BadPack("it is no tree")
        directories[digest] = entries
        for entry in entries:
            if entry.kind == DIRECTORY and entry.digest:
                pending.append((entry.digest, depth + 1))
            elif entry.kind == FILE and not store.objects.has(entry):
                if not entry.size:
                    empty[object_id(entry)] = entry
                    continue
                number, size = lying.get(entry.digest, (-1, 0))
                if size != entry.size:
                    raise BadPack(f"the content of {entry.name!r} is in none of them")
                files.setdefault(number, {}).setdefault(entry.digest, {})[object_id(entry)] = entry
    distinct = {
        number: {digest: tuple(entries.values()) for digest, entries in contents.items()}
        for number, contents in files.items()
    }
    return Wanted(directories, tuple(empty.values()), distinct)


def take_contents(store: Store, index: Index, files: Mapping[Digest, tuple[Entry, ...]], contents: IO[bytes]) -> None:
    """Put files, by content, into the store, out of the contents of a pack; several threads may do so with several
    packs. Raises BadPack."""
    left = dict(files)
    stream = uncompressed(contents, "a pack")
    try:
        for digest, size in index.contents:
            if not left:
                return
            entries = left.pop(digest, ())
            _pass(stream, size) if not entries else _add(store, stream, entries)
    except ArchiveError as error:
        raise BadPack(error.reason) from error
    except ContentChanged as error:
        raise BadPack("a file is not what its digest says") from error


def take_directories(store: Store, wanted: Wanted) -> None:
    """Put directories into the store, and files that hold nothing; those that hold something are there."""
    for entry in wanted.empty:
        store.objects.add(entry, b"")
    bodies = {digest: encode(entries) for digest, entries in wanted.directories.items()}
    with store.database.transaction():
        store.trees.save_all(wanted.directories, bodies)


def _pass(stream: Uncompressed, size: int) -> None:
    while size:
        data = stream.read(min(size, _CHUNK))
        if not data:
            raise BadPack("it ends too early")
        size -= len(data)


def _add(store: Store, stream: Uncompressed, entries: tuple[Entry, ...]) -> None:
    first, *others = entries
    if first.size <= _SMALL:
        content = _exactly(stream, first.size)
        for entry in entries:
            store.objects.add(entry, content)
        return
    with store.work.file() as temporary:
        state = sha256()
        left = first.size
        with open(temporary, "xb", buffering=0) as file:
            while left:
                data = stream.read(min(left, _CHUNK))
                if not data:
                    raise BadPack("it ends too early")
                state.update(data)
                file.write(data)
                left -= len(data)
        if state.hexdigest() != first.digest:
            raise BadPack("a file is not what its digest says")
        apply_attributes(temporary, first, owners=store.owners_observable)
        store.objects.adopt(temporary, store.objects.where(object_id(first)), first)
    for entry in others:
        store.objects.alter(first, entry)


def _exactly(stream: Uncompressed, size: int) -> bytes:
    pieces = []
    while size:
        data = stream.read(size)
        if not data:
            raise BadPack("it ends too early")
        pieces.append(data)
        size -= len(data)
    return b"".join(pieces)
