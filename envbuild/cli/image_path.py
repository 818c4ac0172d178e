"""Finds a path that a command names in an image."""

from __future__ import annotations

import os

from envbuild.errors import UsageError, fields
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.tree.entry import Entry
from envbuild.tree.lookup import real_path, resolve


@fields
class NoSuchPath(UsageError):
    """The image has nothing at this path; `exists` is the part of it that is there."""

    reference: str
    path: str
    exists: bytes

    def text(self) -> tuple[str, str]:
        directory = "/" + self.exists.decode(errors="backslashreplace")
        return f"{self.reference} has no {self.path}", f"see what is there: envbuild ls {self.reference} {directory}"


def entry_at(store: Store, image: Image, reference: str, path: str, *, follow: bool) -> tuple[bytes, Entry]:
    """Return the true path and the entry of `path` in an image. Raises NoSuchPath."""
    encoded = os.fsencode(path)
    resolved = resolve(store.trees, image.tree, encoded, follow=follow)
    if resolved is None:
        raise NoSuchPath(reference, path, real_path(store.trees, image.tree, encoded, follow=follow)[0])
    return resolved
