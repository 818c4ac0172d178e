"""`fetch(unpack)` and `copy(unpack)`: an archive's content as a tree. Imported only where one is unpacked."""

from __future__ import annotations

import os
import stat
from zipfile import is_zipfile

from envbuild.archive.compression import MAGIC, uncompressed
from envbuild.archive.limits import ArchiveError
from envbuild.archive.tar import TarReader
from envbuild.archive.zip import unzip
from envbuild.bases.tarball import write_archive
from envbuild.build.context import keep
from envbuild.build.inputs import Inputs, NotAnArchive
from envbuild.linux.nofollow import RealFiles, open_real
from envbuild.store.store import Store
from envbuild.tree.entry import Digest, Entry, object_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

_TAR, _TAR_AT = b"ustar", 257


def unpack(store: Store, path: str, name: str, epoch: int, owner: tuple[int, int] | None) -> Digest:
    """Return the tree of a tar or zip archive, which is called `name` in messages; its files belong to `owner`, or to
    root. Raises ArchiveError."""
    builder = store.builder()
    # An archive from elsewhere knows nothing of this image's users.
    belongs = owner or (0, 0)
    try:
        with open(path, "rb") as file:
            is_zip = _is_zip(file)
        if is_zip:
            unzip(path, builder, store.work, epoch * 1_000_000_000, belongs)
        else:
            write_archive(path, builder, epoch, belongs)
    except ArchiveError as error:
        # In the store it has the name of its digest.
        raise ArchiveError(name, error.reason, error.offset, error.member) from error
    return builder.finish(epoch * 1_000_000_000)


def unpack_copied(store: Store, inputs: Inputs, epoch: int, owner: tuple[int, int] | None) -> Iterator[Digest]:
    """Yield the trees of the archives that a `copy(unpack)` takes. Raises ArchiveError, and ContentChanged where a
    file of the context is not what it was when it was found."""
    archives: list[tuple[str, Entry]] = []
    with RealFiles() as files:
        archives += [(item.called, keep(store, item, (0, 0), None, files)) for item in inputs.files]
    archives += [(os.fsdecode(path), entry) for path, entry in inputs.entries]
    for name, entry in archives:
        yield unpack(store, store.objects.where(object_id(entry)), name, epoch, owner)


def check_archive(path: str, name: str) -> None:
    """Look at the beginning of a file that is to be unpacked, called `name` in messages. Raises ArchiveError, and
    NotAnArchive for what is not a file; what can't be read is left to the step."""
    try:
        descriptor = open_real(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotAnArchive(name)
    with open(descriptor, "rb") as file:
        if not _is_zip(file):
            next(TarReader(uncompressed(file, name), name).members(), None)


def _is_zip(file: IO[bytes]) -> bool:
    """Return whether a file is a zip archive, and leave it at its beginning. They are told by their ends, where a tar
    archive may have one as its last member."""
    head = file.read(_TAR_AT + len(_TAR))
    is_tar = head[_TAR_AT:] == _TAR or any(head.startswith(magic) for magic, _ in MAGIC)
    is_zip = not is_tar and is_zipfile(file)
    file.seek(0)
    return is_zip
