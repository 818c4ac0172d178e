"""Whether an inode of the pool is what its name says, as far as can be told without the entry of any tree."""

from __future__ import annotations

import os

from envbuild.linux.attributes import read_xattrs, with_attributes
from envbuild.store.fetched import fetched_object
from envbuild.store.layer_check import hash_of
from envbuild.store.step_logs import output_object
from envbuild.tree.entry import FILE, Digest, Entry, object_id


def identity_at(path: str) -> Digest:
    """Return the id of the object that an inode of the pool is for."""
    folder, name = os.path.split(path)
    return os.path.basename(folder) + name.partition(".")[0]


def is_itself(path: str, *, owners: bool) -> bool:
    """Tell whether an inode's own content and attributes give its id. With `owners` False its owner can't be seen; then
    only one that lost its content is told from others."""
    digest = hash_of(path)
    identity = identity_at(path)
    if identity in (output_object(digest), fetched_object(digest)):
        return True
    status = os.lstat(path)
    kept, _ = read_xattrs(path)
    entry = with_attributes(Entry(b"", FILE, 0, 0, 0, 0), status, kept, status.st_mtime_ns)
    return object_id(entry._replace(digest=digest)) == identity or (not owners and status.st_size > 0)
