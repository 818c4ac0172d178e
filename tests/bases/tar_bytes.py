"""Tar archives made byte by byte, so that they can be wrong in any way."""

from __future__ import annotations

END = bytes(1024)


def header(
    name: bytes = b"file",
    kind: bytes = b"0",
    size: int | bytes = 0,
    *,
    mode: bytes = b"0000644",
    uid: bytes = b"0000000",
    gid: bytes = b"0000000",
    mtime: bytes = b"00000000100",
    link: bytes = b"",
    magic: bytes = b"ustar\x0000",
    major: bytes = b"0000000",
    minor: bytes = b"0000000",
    rest: bytes = b"",
    checksum: bytes | None = None,
) -> bytes:
    """One header block with its checksum. `rest` is what stands from byte 345 on."""
    length = b"%011o" % size if isinstance(size, int) else size
    block = bytearray(512)
    for at, field in (
        (0, name),
        (100, mode),
        (108, uid),
        (116, gid),
        (124, length),
        (136, mtime),
        (156, kind),
        (157, link),
        (257, magic),
        (329, major),
        (337, minor),
        (345, rest),
    ):
        block[at : at + len(field)] = field
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block) if checksum is None else checksum
    assert len(block) == 512
    return bytes(block)


def body(data: bytes) -> bytes:
    """A member's content, filled up to whole blocks."""
    return data + bytes(-len(data) % 512)


def file(name: bytes = b"file", data: bytes = b"", **fields) -> bytes:
    return header(name, size=len(data), **fields) + body(data)


def record(key: bytes, value: bytes) -> bytes:
    """A PAX record, which holds its own length."""
    length = len(key) + len(value) + 3
    while length != len(b"%d %s=%s\n" % (length, key, value)):
        length = len(b"%d %s=%s\n" % (length, key, value))
    return b"%d %s=%s\n" % (length, key, value)


def pax(*records: bytes, kind: bytes = b"x") -> bytes:
    data = b"".join(records)
    return header(b"PaxHeaders/file", kind, len(data)) + body(data)


def gnu_long(name: bytes, kind: bytes = b"L") -> bytes:
    return header(b"././@LongLink", kind, len(name) + 1) + body(name + b"\0")
