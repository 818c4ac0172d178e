"""Files of an image that may yet be refused: they come into the pool of objects together, or not at all.

Taking them out of the pool again would be no way: a build that runs meanwhile may have found one of them there, and
rely on it by now.
"""

from __future__ import annotations

import os

from envbuild.digest import sha256_of
from envbuild.store.objects import Objects
from envbuild.tree.entry import Digest, Entry, object_id


class StagedObjects:
    """Takes files as the pool does, into a folder of its own on the same file system, which its maker removes."""

    def __init__(self, objects: Objects, folder: str) -> None:
        self._objects = objects
        self._folder = folder
        self._staged: dict[Digest, tuple[str, Entry]] = {}
        self._written = 0

    def add(self, entry: Entry, source: bytes | int) -> Entry:
        """Take a file and return its entry with digest and size filled in. `source` is its bytes, or a descriptor that
        is read to its end from where it stands."""
        known = ""
        if isinstance(source, bytes):
            known = sha256_of(source)
            entry = entry._replace(digest=known, size=len(source))
            if object_id(entry) in self._staged or self._objects.has(entry):
                return entry
        path = f"{self._folder}/{self._written}"
        self._written += 1
        entry = self._objects.write(path, entry, source, known)
        if object_id(entry) in self._staged:
            os.unlink(path)
        else:
            self._staged[object_id(entry)] = path, entry
        return entry

    def keep(self) -> None:
        """Put all of them into the pool."""
        for identity, (path, entry) in self._staged.items():
            self._objects.adopt(path, self._objects.where(identity), entry)
