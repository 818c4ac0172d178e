"""What lies at a path of the machine, as an entry of a tree: opened below the root without following a link."""

from __future__ import annotations

import errno
import os
import stat

from envbuild.digest import Sha256
from envbuild.linux.attributes import read_xattrs
from envbuild.linux.syscalls import RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, openat2
from envbuild.record import Record
from envbuild.tree.entry import (
    BLOCK_DEVICE,
    CHARACTER_DEVICE,
    DIRECTORY,
    FIFO,
    FILE,
    LINK,
    Entry,
)

_KINDS = {
    stat.S_IFREG: FILE,
    stat.S_IFDIR: DIRECTORY,
    stat.S_IFLNK: LINK,
    stat.S_IFCHR: CHARACTER_DEVICE,
    stat.S_IFBLK: BLOCK_DEVICE,
    stat.S_IFIFO: FIFO,
}
_STRAIGHT = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS
_CHUNK = 1 << 20
Identity = tuple[int, int, int]
"""Device, inode and change time (nanoseconds): what nobody can give another file, or this one after a change."""


class LinkOnTheWay(OSError):
    """A path leads through a link, which is not followed."""


class Live(Record):
    """What lies at a path: its entry, without a digest for a directory, and its identity. `entry` is None for a socket,
    which no tree has. `links` are the names that a file has."""

    entry: Entry | None
    identity: Identity
    links: int = 1


def open_parent(root: int, path: bytes) -> int:
    """Return a descriptor of the directory that has a path, which is relative to the open directory `root`.

    Raises LinkOnTheWay, and OSError where it is not there.
    """
    parent = path.rpartition(b"/")[0]
    try:
        return openat2(root, os.fsdecode(parent or b"."), os.O_RDONLY | os.O_DIRECTORY, _STRAIGHT)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise LinkOnTheWay(error.errno, "a link is on the way", path) from error
        raise


def identity_of(status: os.stat_result) -> Identity:
    """Return what tells this state of a file from all others."""
    return status.st_dev, status.st_ino, status.st_ctime_ns


def live_at(parent: int, name: bytes) -> Live | None:
    """Return what a directory that is held open has under a name, None if it has nothing. Raises OSError where it may
    not be read."""
    try:
        held = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    except FileNotFoundError:
        return None
    try:
        status = os.fstat(held)
        kind = _KINDS.get(stat.S_IFMT(status.st_mode))
        if kind is None:
            return Live(None, identity_of(status))
        entry = Entry(
            name,
            kind,
            0o777 if kind == LINK else stat.S_IMODE(status.st_mode),
            status.st_uid,
            status.st_gid,
            status.st_mtime_ns,
        )
        if kind == LINK:
            entry = entry._replace(target=os.readlink(b"", dir_fd=held))
        elif kind in (CHARACTER_DEVICE, BLOCK_DEVICE):
            entry = entry._replace(target=b"%d:%d" % (os.major(status.st_rdev), os.minor(status.st_rdev)))
        elif kind in (FILE, DIRECTORY):
            entry = _with_content(entry, held)
        return Live(entry, identity_of(status), status.st_nlink)
    finally:
        os.close(held)


def _with_content(entry: Entry, held: int) -> Entry:
    # By way of what is held: that is what it was, whatever has its name by now, so that opening it does not wait.
    source = os.open(f"/proc/self/fd/{held}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        entry = entry._replace(xattrs=read_xattrs(source)[0])
        if entry.kind == DIRECTORY:
            return entry
        state, size = Sha256(), 0
        while chunk := os.read(source, _CHUNK):
            state.update(chunk)
            size += len(chunk)
        return entry._replace(digest=state.hexdigest(), size=size)
    finally:
        os.close(source)
