"""Large pages for a process that is forked thousands of times.

A fork copies the table of its parent's pages, and its end takes that apart again: 12,000 entries for a process that has
all of envbuild loaded, which is most of what a short command costs here. A page of 2 MB is one entry.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

HUGE = 2 << 20
MADV_COLLAPSE = 25
"""madvise(2), Linux 6.1: makes these pages a large one now. Not in Python's mmap."""


def collapse() -> int:
    """Makes what this process has written so far large pages, as far as areas reach. Returns how many there are now;
    none on kernels that can't."""
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    made = 0
    for line in Path("/proc/self/maps").read_text().splitlines():
        area, access, _, _, inode, *name = line.split(maxsplit=5)
        if access != "rw-p" or inode != "0" or name not in ([], ["[heap]"]):
            continue
        start, end = (int(address, 16) for address in area.split("-"))
        for address in range(-(-start // HUGE) * HUGE, end // HUGE * HUGE, HUGE):
            made += madvise(address, HUGE, MADV_COLLAPSE) == 0
    return made
