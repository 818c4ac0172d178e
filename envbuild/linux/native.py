"""Small programs of our own that lie in sealed memory (memfd_create(2)), and are no file of anybody's."""

from __future__ import annotations

import errno
import fcntl
import os
import struct

ADDRESS = 0x400000
DATA, DATA_SIZE = 0x600000, 0x800000
"""Memory that a program may write to."""
_MACHINES = {"x86_64": 62, "aarch64": 183}
"""e_machine of these (elf(5), linux/elf-em.h)."""
_HEADERS = 64 + 2 * 56
_MFD_EXEC = 0x10
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def open_program(content: bytes) -> int:
    """Return a descriptor of a program, to be executed and never to be changed. Raises OSError where the kernel
    executes nothing that lies in memory (vm.memfd_noexec is 2)."""
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        opened = os.memfd_create("envbuild", flags | _MFD_EXEC)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        opened = os.memfd_create("envbuild", flags)  # before Linux 6.3 there is no such flag, and all can be executed
    os.write(opened, content)
    fcntl.fcntl(opened, fcntl.F_ADD_SEALS, _SEALS)
    return opened


def elf(machine: str, code: bytes, address: int = ADDRESS) -> bytes:
    """Return a file that is loaded at `address` and begins with the first byte of `code` (elf(5)); beside it there is
    memory for data."""
    size = _HEADERS + len(code)
    identity = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", identity, 2, _MACHINES[machine], 1, address + _HEADERS, 64, 0, 0, 64, 56, 2, 0, 0, 0
    )
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, address, address, size, size, 0x10000)
    data = struct.pack("<IIQQQQQQ", 1, 6, 0, DATA, DATA, 0, DATA_SIZE, 0x10000)
    return header + segment + data + code
