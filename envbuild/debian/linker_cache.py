"""/etc/ld.so.cache, made from the libraries of a base: the same libraries give the same bytes.

The format is glibc's `glibc-ld.so.cache1.1` (sysdeps/generic/dl-cache.h): a header, fixed entries in falling order
of their names (digits compared as numbers), and the texts that they point to.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from functools import cmp_to_key

_MAGIC = b"glibc-ld.so.cache1.1"
_HEADER = struct.Struct("<20sIIB3xI12x")
_ENTRY = struct.Struct("<iIIIQ")
_DIGITS = "0123456789"
_LITTLE_ENDIAN = 2
_LIBC6 = 0x0003
FLAGS = {62: 0x0300 | _LIBC6, 183: 0x0A00 | _LIBC6}
"""By e_machine: x86-64 and AArch64, both of 64 bits."""


def linker_cache(libraries: Iterable[tuple[str, str, int]]) -> bytes:
    """Return the cache for (name, path, e_machine); machines that FLAGS lacks are left out."""
    known = [(name, path, FLAGS[machine]) for name, path, machine in libraries if machine in FLAGS]
    known.sort(key=lambda library: library[1])
    by_name = cmp_to_key(compare_names)
    known.sort(key=lambda library: by_name(library[0]), reverse=True)
    start = _HEADER.size + len(known) * _ENTRY.size
    texts = b""
    entries = []
    for name, path, flags in known:
        key = start + len(texts)
        texts += name.encode() + b"\0"
        value = start + len(texts)
        texts += path.encode() + b"\0"
        entries.append(_ENTRY.pack(flags, key, value, 0, 0))
    return _HEADER.pack(_MAGIC, len(known), len(texts), _LITTLE_ENDIAN, 0) + b"".join(entries) + texts


def compare_names(a: str, b: str) -> int:
    """Compare names in the order in which the loader searches: runs of digits by their number, digits after
    everything else."""
    left, right = re.findall("[0-9]+|[^0-9]", a), re.findall("[0-9]+|[^0-9]", b)
    for run, other_run in zip(left, right, strict=False):
        if run == other_run:
            continue
        if run[0] in _DIGITS and other_run[0] in _DIGITS:
            if int(run) != int(other_run):
                return int(run) - int(other_run)
            continue
        if run[0] in _DIGITS or other_run[0] in _DIGITS:
            return 1 if run[0] in _DIGITS else -1
        return ord(run) - ord(other_run)
    return len(left) - len(right)
