"""Files that `fetch` brought: kept in the pool under an id that follows from their sha256 alone."""

from __future__ import annotations

from envbuild.tree.entry import FILE, Digest, Entry, object_id

FETCHED = "fetched:"
"""How a registered lock names a fetched file among its trees."""

PACKAGE = "package:"
"""How a registered lock names the file of a package, by its hash."""

_KIND = Entry(b"fetched", FILE, 0o644, 0, 0, 0)


def fetched_object(digest: Digest) -> Digest:
    """Return the id of the object that holds the fetched file of this sha256."""
    return object_id(_KIND._replace(digest=digest))
