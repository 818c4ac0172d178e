"""A layer as a tar archive: for the same entries always the same bytes, on every machine and with every version.

A layer's digest is the name under which registries and other tools keep it, so that its form never changes: POSIX's
ustar, with a PAX header for what does not fit (pax(1)) and for extended attributes (`SCHILY.xattr.`, as the OCI image
specification has it, "Layer Filesystem Changeset"). No names of users, no times but those of the entries.
"""

from __future__ import annotations

from envbuild.archive.tar_writer import BLOCK, record
from envbuild.errors import WorkFailed, fields
from envbuild.tree.entry import (
    BLOCK_DEVICE,
    CHARACTER_DEVICE,
    DIRECTORY,
    FIFO,
    FILE,
    LINK,
    ROOT_NAME,
    Entry,
)

WHITEOUT = b".wh."
"""What a name begins with that hides the name behind it in the layers below (specification, "Whiteouts")."""
END = bytes(2 * BLOCK)
"""What ends an archive."""
_TYPES = {FILE: b"0", LINK: b"2", CHARACTER_DEVICE: b"3", BLOCK_DEVICE: b"4", DIRECTORY: b"5", FIFO: b"6"}
_MAX_NAME = 100
_MAX_ID, _MAX_OCTAL = 8**7, 8**11
_SECOND = 1_000_000_000


@fields
class NotInLayers(WorkFailed):
    """A file that layers of other tools can't hold as it is."""

    path: bytes
    reason: str

    def text(self) -> tuple[str, str]:
        shown = self.path.decode(errors="backslashreplace")
        return f"/{shown} can't be exported: {self.reason}", "rename or remove it in a step of the recipe"


def header_of(path: bytes, entry: Entry) -> bytes:
    """Return what stands in the archive before the content of an entry. Raises NotInLayers."""
    if path.rpartition(b"/")[2].startswith(WHITEOUT):
        raise NotInLayers(path, "its name begins with .wh., which hides another file there")
    name = b"./" if path == ROOT_NAME else path + b"/" if entry.kind == DIRECTORY else path
    link = entry.target if entry.kind == LINK else b""
    seconds, rest = divmod(entry.mtime, _SECOND)
    records = []
    if len(link) > _MAX_NAME:
        records.append((b"linkpath", link))
    if rest or not 0 <= seconds < _MAX_OCTAL:
        records.append((b"mtime", _decimal(seconds, rest)))
    if len(name) > _MAX_NAME:
        records.append((b"path", name))
    if entry.size >= _MAX_OCTAL:
        records.append((b"size", b"%d" % entry.size))
    if entry.uid >= _MAX_ID:
        records.append((b"uid", b"%d" % entry.uid))
    if entry.gid >= _MAX_ID:
        records.append((b"gid", b"%d" % entry.gid))
    for attribute, value in entry.xattrs:
        if b"=" in attribute:
            raise NotInLayers(
                path, f"the name of its attribute {attribute.decode(errors='backslashreplace')!r} has a ="
            )
        records.append((b"SCHILY.xattr." + attribute, value))
    extended = b""
    if records:
        body = b"".join(record(key, value) for key, value in sorted(records))
        extended = _block(b"PaxHeaders/" + name[: _MAX_NAME - 11], b"x", 0o644, 0, 0, len(body), 0)
        extended += body + padding(len(body))
    major, minor = (int(part) for part in entry.target.split(b":")) if entry.kind in "cb" else (0, 0)
    size = entry.size if entry.kind == FILE else 0
    return extended + _block(
        name[:_MAX_NAME],
        _TYPES[entry.kind],
        entry.mode,
        entry.uid if entry.uid < _MAX_ID else 0,
        entry.gid if entry.gid < _MAX_ID else 0,
        size if size < _MAX_OCTAL else 0,
        min(max(seconds, 0), _MAX_OCTAL - 1),
        link[:_MAX_NAME],
        (major, minor),
    )


def whiteout_of(path: bytes) -> bytes:
    """Return the empty file that says that a path of the layers below is gone."""
    folder, slash, name = path.rpartition(b"/")
    return header_of_whiteout(folder + slash + WHITEOUT + name)


def header_of_whiteout(path: bytes) -> bytes:
    """Return the archive's member for a whiteout of this path."""
    extended = b""
    if len(path) > _MAX_NAME:
        body = record(b"path", path)
        extended = _block(b"PaxHeaders/" + path[: _MAX_NAME - 11], b"x", 0o644, 0, 0, len(body), 0)
        extended += body + padding(len(body))
    return extended + _block(path[:_MAX_NAME], b"0", 0, 0, 0, 0, 0)


def padding(size: int) -> bytes:
    """Return what fills up the last block of this many bytes."""
    return bytes(-size % BLOCK)


def _decimal(seconds: int, nanoseconds: int) -> bytes:
    """Return a time as PAX has it: decimal seconds since 1970, with a fraction, and a sign for those before."""
    if seconds < 0 and nanoseconds:
        seconds, nanoseconds = seconds + 1, _SECOND - nanoseconds
        sign = b"-" if seconds == 0 else b""
    else:
        sign = b""
    fraction = b".%09d" % nanoseconds if nanoseconds else b""
    return sign + b"%d" % seconds + fraction.rstrip(b"0")


def _block(
    name: bytes,
    kind: bytes,
    mode: int,
    uid: int,
    gid: int,
    size: int,
    mtime: int,
    target: bytes = b"",
    device: tuple[int, int] = (0, 0),
) -> bytes:
    head = b"".join(
        (
            name.ljust(100, b"\0"),
            b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (mode, uid, gid, size, mtime),
            b" " * 8,
            kind,
            target.ljust(100, b"\0"),
            b"ustar\x0000",
            bytes(64),
            b"%07o\0%07o\0" % device,
        )
    ).ljust(BLOCK, b"\0")
    return head[:148] + b"%06o\0 " % sum(head) + head[156:]
