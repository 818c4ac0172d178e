"""`fetch(unpack)`: an archive's content as a tree. Imported only when one is unpacked."""

from __future__ import annotations

from zipfile import is_zipfile

from envbuild.archive.zip import unzip
from envbuild.bases.tarball import write_archive
from envbuild.store.store import Store
from envbuild.tree.entry import Digest


def unpack(store: Store, path: str, epoch: int, owner: tuple[int, int] | None) -> Digest:
    """Return the tree of a tar or zip archive; its files belong to `owner`, or to root. Raises ArchiveError."""
    builder = store.builder()
    # An archive from elsewhere knows nothing of this image's users.
    belongs = owner or (0, 0)
    if is_zipfile(path):
        unzip(path, builder, store.work, epoch * 1_000_000_000, belongs)
    else:
        write_archive(path, builder, epoch, belongs)
    return builder.finish(epoch * 1_000_000_000)
