"""Entries and their canonical form: what a directory of a tree is, byte for byte.

A directory is a list of entries sorted by name (as bytes). Its canonical form is one record for each entry:

    KIND MODE UID GID MTIME SIZE XATTRS NAME NUL CONTENT NUL

KIND is one letter (f file, d directory, l link, c character device, b block device, p fifo), MODE is octal, MTIME
is in nanoseconds, XATTRS is `-` or `hexname=hexvalue` joined by commas and sorted, CONTENT is the hexadecimal
sha256 of a file's bytes or of a subdirectory's canonical form, a link's target, or `MAJOR:MINOR`. A directory's
digest is the sha256 of its canonical form. The root of a tree also holds the entry `.` for its own attributes, so
that the digest of the root names the whole.

This form is a promise: a change of it changes every digest that is in somebody's lock.
"""

from __future__ import annotations

from envbuild.digest import sha256_of
from envbuild.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


Digest = str
"""64 hexadecimal digits of a sha256."""

FILE, DIRECTORY, LINK, CHARACTER_DEVICE, BLOCK_DEVICE, FIFO = "f", "d", "l", "c", "b", "p"
KIND_WORDS = {
    FILE: "file",
    DIRECTORY: "directory",
    LINK: "link",
    CHARACTER_DEVICE: "character device",
    BLOCK_DEVICE: "block device",
    FIFO: "named pipe",
}
"""The words for kinds of entries in messages, listings and JSON."""
TYPE_BITS = {
    FILE: 0o100000,
    DIRECTORY: 0o040000,
    LINK: 0o120000,
    CHARACTER_DEVICE: 0o020000,
    BLOCK_DEVICE: 0o060000,
    FIFO: 0o010000,
}
"""The type of a file in its mode (inode(7))."""
ROOT_NAME = b"."
EMPTY_CONTENT = sha256_of(b"")

Xattrs = tuple[tuple[bytes, bytes], ...]


class Entry(NamedTuple):
    """One name in a directory.

    `mode` is the permission bits (at most 0o7777), `mtime` is in nanoseconds, `size` in bytes (0 but for files).
    `digest` is set for files and directories; `target` for links (where to) and devices (b"MAJOR:MINOR").
    """

    name: bytes
    kind: str
    mode: int
    uid: int
    gid: int
    mtime: int
    size: int = 0
    digest: Digest = ""
    target: bytes = b""
    xattrs: Xattrs = ()


def encode(entries: Iterable[Entry]) -> bytes:
    """Return the canonical form of a directory with these entries, in whatever order they come."""
    return b"".join(
        [
            b"%s %o %d %d %d %d %s %s\0%s\0"
            % (
                entry.kind.encode(),
                entry.mode,
                entry.uid,
                entry.gid,
                entry.mtime,
                entry.size,
                _encode_xattrs(entry.xattrs) if entry.xattrs else b"-",
                entry.name,
                entry.digest.encode() or entry.target,
            )
            for entry in sorted(entries)
        ]
    )


_KINDS = {b"f": FILE, b"d": DIRECTORY, b"l": LINK, b"c": CHARACTER_DEVICE, b"b": BLOCK_DEVICE, b"p": FIFO}
_NO_NAMES = (b"", b"..")
_IDS, _MOST = 1 << 32, 1 << 63


def decode(body: bytes) -> tuple[Entry, ...]:
    """Return the entries whose canonical form is `body`, sorted by name. decode(encode(e)) == sorted e.

    Raises ValueError for what is none. A name is one component of a path: whoever wrote a directory chose its digest,
    too, so that this is all that keeps its names in it.
    """
    entries = []
    for head, content in _lines(body):
        kind_byte, mode, uid, gid, mtime, size, xattrs, name = head.split(b" ", 7)
        kind = _KINDS.get(kind_byte, "")
        bits, owner, group, moment, length = int(mode, 8), int(uid), int(gid), int(mtime), int(size)
        if not kind or not (0 <= bits <= 0o7777 and 0 <= owner < _IDS and 0 <= group < _IDS):
            raise ValueError(f"{name!r} is of no kind, or has a mode or an owner that nothing has")
        if not (-_MOST < moment < _MOST and 0 <= length < _MOST):
            raise ValueError(f"{name!r} has a time or a size that nothing has")
        if b"/" in name or name in _NO_NAMES:
            raise ValueError(f"{name!r} can't be a name in a directory")
        hashed = kind in "fd"
        entries.append(
            Entry(
                name,
                kind,
                bits,
                owner,
                group,
                moment,
                length,
                content.decode() if hashed else "",
                b"" if hashed else content,
                () if xattrs == b"-" else _decode_xattrs(xattrs),
            )
        )
    return tuple(entries)


def decode_differing(a: bytes, b: bytes) -> tuple[tuple[Entry, ...], tuple[Entry, ...]]:
    """Return the entries that only one of two canonical forms has: those of `a`, and those of `b`.

    What both have is not decoded: of a large directory in which one file changed that is nearly all. Raises ValueError.
    """
    ours, theirs = _lines(a), _lines(b)
    of_ours, of_theirs = set(ours), set(theirs)
    only = ([line for line in ours if line not in of_theirs], [line for line in theirs if line not in of_ours])
    before, after = (decode(b"".join([b"%s\0%s\0" % line for line in lines])) for lines in only)
    return before, after


def _lines(body: bytes) -> list[tuple[bytes, bytes]]:
    parts = body.split(b"\0")
    if len(parts) % 2 == 0 or parts[-1]:
        raise ValueError("a directory that is cut short")
    return list(zip(parts[::2], parts[1::2], strict=False))


Mark = bytes
"""All that makes two files one object: an entry without its name."""


def mark(entry: Entry) -> Mark:
    """Return what a file is beside its name."""
    return encode((entry._replace(name=b""),))


def marks_in(body: bytes) -> tuple[list[Mark], list[Digest]]:
    """Return the marks of the files in a directory whose canonical form is `body`, and the digests of the directories
    in it: decoding takes several times longer. Raises ValueError."""
    marks, directories = [], []
    for head, content in _lines(body):
        if head.startswith(b"f "):
            _, _, _, _, _, _, _, name = head.split(b" ", 7)
            marks.append(b"%s\0%s\0" % (head[: len(head) - len(name)], content))
        elif head.startswith(b"d ") and content:
            directories.append(content.decode())
    return marks, directories


def digest_of(body: bytes) -> Digest:
    """Return the digest of a directory with this canonical form."""
    return sha256_of(body)


def object_id(entry: Entry) -> Digest:
    """Return what names the inode of a file in the store: its content and all its attributes, but not its name."""
    return sha256_of(
        b"%o %d %d %d %s %s"
        % (
            entry.mode,
            entry.uid,
            entry.gid,
            entry.mtime,
            _encode_xattrs(entry.xattrs) if entry.xattrs else b"-",
            entry.digest.encode(),
        )
    )


def _encode_xattrs(xattrs: Xattrs) -> bytes:
    return b",".join(b"%s=%s" % (name.hex().encode(), value.hex().encode()) for name, value in sorted(xattrs))


def _decode_xattrs(text: bytes) -> Xattrs:
    pairs = (pair.split(b"=") for pair in text.split(b","))
    return tuple((bytes.fromhex(name.decode()), bytes.fromhex(value.decode())) for name, value in pairs)
