"""`fetch(unpack)`: an archive's content as a tree. Imported only when one is unpacked."""

from __future__ import annotations

import stat
from zipfile import BadZipFile, ZipFile, is_zipfile

from envbuild.bases.archive import ArchiveError, Limits
from envbuild.bases.tarball import write_archive
from envbuild.store.builder import TreeBuilder
from envbuild.store.store import Store
from envbuild.tree.entry import DIRECTORY, FILE, LINK, Digest, Entry


def unpack(store: Store, path: str, epoch: int, owner: tuple[int, int] | None) -> Digest:
    """The tree of a tar or zip archive; its files belong to `owner`, or to root. Raises ArchiveError."""
    builder = store.builder()
    if is_zipfile(path):
        _unzip(path, builder, epoch, owner or (0, 0))
    else:
        # An archive from elsewhere knows nothing of this image's users.
        write_archive(path, builder, epoch, owner or (0, 0))
    return builder.finish(epoch * 1_000_000_000)


def _unzip(path: str, builder: TreeBuilder, epoch: int, owner: tuple[int, int]) -> None:
    limits = Limits()
    total = 0
    try:
        with ZipFile(path) as archive:
            for number, info in enumerate(archive.infolist(), 1):
                name = info.filename.encode("utf-8", "surrogateescape").strip(b"/")
                parts = [part for part in name.split(b"/") if part not in (b"", b".")]
                total += info.file_size
                if b".." in parts or not parts or number > limits.members or total > limits.total:
                    raise ArchiveError(path, "a path or a size that is refused", info.header_offset, name)
                mode = stat.S_IMODE(info.external_attr >> 16) & 0o755
                kind = stat.S_IFMT(info.external_attr >> 16)
                entry = Entry(b"", FILE, mode or 0o644, *owner, epoch * 1_000_000_000)
                if info.is_dir():
                    builder.add(b"/".join(parts), entry._replace(kind=DIRECTORY, mode=mode or 0o755))
                elif kind == stat.S_IFLNK:
                    target = archive.read(info)
                    builder.add(b"/".join(parts), entry._replace(kind=LINK, mode=0o777, target=target))
                else:
                    builder.add(b"/".join(parts), entry, archive.read(info))
    except (BadZipFile, ValueError, NotImplementedError, RuntimeError) as error:
        raise ArchiveError(path, f"damaged or not supported: {error}", 0) from error
