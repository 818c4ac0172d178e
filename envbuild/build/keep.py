"""Puts files of the recipe's folder into the store."""

from __future__ import annotations

import os
import stat

from envbuild.build.context import Found
from envbuild.linux.nofollow import RealFiles
from envbuild.store.objects import ContentChanged
from envbuild.store.store import Store
from envbuild.tree.entry import FILE, LINK, Entry


def keep(store: Store, found: Found, owner: tuple[int, int], mode: int | None, files: RealFiles) -> Entry:
    """Puts a file or folder of the context into the store with this owner and, unless None, this mode for its files and
    folders; returns its entry. Raises ContentChanged where it is not what it was when it was found."""
    entry = found.entry._replace(uid=owner[0], gid=owner[1])
    if entry.kind == FILE:
        if mode is not None:
            entry = entry._replace(mode=mode)
        return entry if store.objects.has(entry) else _read(store, entry, found.path, files)
    if entry.kind == LINK:
        return entry
    if mode is None and owner == (0, 0) and store.trees.has(entry.digest) and not store.lost.identities():
        return entry
    children = [keep(store, child, owner, mode, files) for child in found.children]
    return with_mode(entry._replace(digest=store.trees.save(children)), mode)


def with_mode(entry: Entry, mode: int | None) -> Entry:
    """A folder whose files get `mode`: it gets the right to be entered wherever `mode` gives the right to read."""
    return entry if mode is None else entry._replace(mode=mode | (mode & 0o444) >> 2)


def _read(store: Store, entry: Entry, path: str, files: RealFiles) -> Entry:
    try:
        # O_NONBLOCK: should it have been swapped for a FIFO, opening it must not wait for a writer.
        descriptor = files.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise ContentChanged(path) from error
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return store.objects.add(entry, descriptor)
    except ContentChanged:
        pass
    finally:
        os.close(descriptor)
    raise ContentChanged(path)
