"""Which program the kernel reads in order to execute another: the interpreter of a script, the loader of a binary."""

from __future__ import annotations

import os
import stat
import struct

from envbuild.linux import syscalls

_HEAD = 256
"""BINPRM_BUF_SIZE: the kernel looks for a script's interpreter in as many bytes."""
_PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")
_PT_INTERP = 3
_MAX_HEADERS = 64
_MAX_PATH = 4095


def interpreter_of(root: int, path: bytes, floor: bytes, known: dict[bytes, tuple[int, ...]]) -> bytes:
    """Return the path of the interpreter of the program at `path` below `root`, a directory whose own path is `floor`;
    b"" where there is none, or where this is `known` already: paths, with what tells one file's content from
    another's."""
    try:
        opened = syscalls.openat2(
            root, os.fsdecode(path), os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY, syscalls.RESOLVE_IN_ROOT
        )
    except OSError:
        return b""  # nor will the kernel
    try:
        status = os.fstat(opened)
        mark = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        if not stat.S_ISREG(status.st_mode) or known.get(floor + path) == mark:
            return b""
        known[floor + path] = mark
        return _read(opened)
    except OSError:
        return b""
    finally:
        os.close(opened)


def _read(opened: int) -> bytes:
    head = os.pread(opened, _HEAD, 0)
    if head.startswith(b"#!"):
        words = head[2:].partition(b"\n")[0].split()
        return words[0] if words else b""
    if not head.startswith(b"\x7fELF\x02\x01") or len(head) < 64:
        return b""
    (place,) = struct.unpack_from("<Q", head, 32)
    size, count = struct.unpack_from("<HH", head, 54)
    if size != _PROGRAM_HEADER.size or count > _MAX_HEADERS or place >= 1 << 62:
        return b""
    headers = os.pread(opened, size * count, place)
    for kind, _, offset, _, _, length, _, _ in _PROGRAM_HEADER.iter_unpack(headers[: len(headers) // size * size]):
        if kind == _PT_INTERP and offset < 1 << 62:
            return os.pread(opened, min(length, _MAX_PATH), offset).partition(b"\0")[0]
    return b""
