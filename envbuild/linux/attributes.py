"""A file's attributes on disk and in a tree: owner, mode, time and extended attributes."""

from __future__ import annotations

import errno
import os
from stat import S_ISDIR, S_ISLNK

from envbuild.tree.entry import LINK, Entry, Xattrs

OVERLAY_PREFIX = "user.overlay."
"""What overlayfs keeps for itself in a user namespace (Linux documentation, filesystems/overlayfs)."""
OPAQUE = "user.overlay.opaque"
"""On a directory of a layer: it hides the directories of this name in the layers below."""
CAPABILITY = "security.capability"
_KEPT = ("user.", "system.posix_acl_")
_REVISION_2, _REVISION_3 = 0x02000000, 0x03000000
_LENGTH_2 = 20


def read_xattrs(path: str | int) -> tuple[Xattrs, tuple[str, ...]]:
    """Return the extended attributes that belong to the environment, sorted, and the names of overlayfs' own, of a path
    (of a link itself) or a descriptor.

    File capabilities come in their version 2 form: version 3 adds the host's number of the namespace's root
    (capabilities(7)), which would make equal files differ from user to user.
    """
    follow = isinstance(path, int)  # a descriptor has been followed already, and takes no such wish
    try:
        names = os.listxattr(path, follow_symlinks=follow)
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.EPERM):
            return (), ()
        raise
    if not names:
        return (), ()
    kept, overlay = [], []
    for name in names:
        if name.startswith(OVERLAY_PREFIX):
            overlay.append(name)
        elif name == CAPABILITY or name.startswith(_KEPT):
            value = os.getxattr(path, name, follow_symlinks=follow)
            kept.append((os.fsencode(name), _version_2(value) if name == CAPABILITY else value))
    return tuple(sorted(kept)), tuple(overlay)


def apply_attributes(path: str, entry: Entry, *, owners: bool) -> None:
    """Give what lies at `path` the attributes of `entry`. `owners` is False where owners can't be changed."""
    if owners:
        os.chown(path, entry.uid, entry.gid, follow_symlinks=False)
    if entry.kind != LINK:
        # After chown, which clears the set-user-id bit.
        os.chmod(path, entry.mode)
    for name, value in entry.xattrs:
        os.setxattr(path, name, value, follow_symlinks=False)
    os.utime(path, ns=(entry.mtime, entry.mtime), follow_symlinks=False)


def apply_to_open_file(descriptor: int, entry: Entry, *, owners: bool) -> None:
    """Give an open file the attributes of `entry`, as `apply_attributes` a path."""
    if owners:
        os.fchown(descriptor, entry.uid, entry.gid)
    os.fchmod(descriptor, entry.mode)
    for name, value in entry.xattrs:
        os.setxattr(descriptor, name, value)
    os.utime(descriptor, ns=(entry.mtime, entry.mtime))


def with_attributes(entry: Entry, status: os.stat_result, xattrs: Xattrs, epoch: int) -> Entry:
    """Return `entry` with what lstat(2) says; a time later than `epoch` (nanoseconds) becomes the epoch."""
    mode = 0o777 if S_ISLNK(status.st_mode) else status.st_mode & 0o7777
    return entry._replace(
        mode=mode,
        uid=status.st_uid,
        gid=status.st_gid,
        mtime=min(status.st_mtime_ns, epoch),
        size=status.st_size if not S_ISDIR(status.st_mode) and not S_ISLNK(status.st_mode) else 0,
        xattrs=xattrs,
    )


def _version_2(value: bytes) -> bytes:
    head = int.from_bytes(value[:4], "little")
    if head & 0xFF000000 != _REVISION_3:
        return value
    return (_REVISION_2 | head & 0x00FFFFFF).to_bytes(4, "little") + value[4:_LENGTH_2]
