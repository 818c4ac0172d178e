"""The program between a sandbox's own processes and the command: all that it does is to execute what follows.

A process that executes a script is replaced by the interpreter in the script's first line, and `/proc/self/exe` there
means what the process was until then. Would that be envbuild's own interpreter, a file of the host, then a script of
the image would run it with the image's loader and libraries, and so be the host's program with code of its own. So the
process becomes this program first, which lies in sealed memory (memfd_create(2)) and is no file of anybody's.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct

from envbuild.errors import MachineLacks

_CODE = {
    "x86_64": bytes.fromhex(
        "4c8d6424084d89e5498b45004983c5084885c0747f80380075ee4d89ee498b064983c6084885c075f4b848000000bf030000"
        "00be02000000ba010000000f05498b3c24803f00744cb83b0000004c89ee4c89f20f05f7d889c550b801000000bf03000000"
        "4889e6ba010000000f0583fd0d741b83fd14741683fd027517b815000000498b3c2431f60f0585c074064983c408ebab6a00"
        "b801000000bf030000004889e6ba010000000f05b8e7000000bf7f0000000f05"
    ),
    "aarch64": bytes.fromhex(
        "f3230091f40313aa808640f8e00400b400004039a0ffff35f50314aaa08640f8e0ffffb5280380d2600080d2410080d22200"
        "80d2010000d4600240f90100403941030034a81b80d2e10314aae20315aa010000d4f60300cbf60f1ff8080880d2600080d2"
        "e1030091220080d2010000d4df3600f160010054df5200f120010054df0a00f121010054080680d2600c8092610240f90200"
        "80d2010000d4600000b473220091e5ffff17ff0f1ff8080880d2600080d2e1030091220080d2010000d4c80b80d2e00f80d2"
        "010000d4"
    ),
}
"""What launcher_MACHINE.S beside this file assembles to. Its argv is the paths to try, an empty one, and the argv of
what is executed; for each path that could not be executed it writes the error's number as a byte to descriptor 3, and a
zero when it gives up. It tries the next path where nothing is there, or where it may not be executed."""
REPORTS = 3
_MACHINES = {"x86_64": 62, "aarch64": 183}
"""e_machine of these (elf(5), linux/elf-em.h)."""
ADDRESS = 0x400000
_HEADERS = 64 + 56
_MFD_EXEC = 0x10
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class NoLauncher(MachineLacks):
    """The kernel executes nothing that lies in memory (vm.memfd_noexec is 2)."""

    def __init__(self) -> None:
        super().__init__(
            "this machine executes no program that lies in memory, as envbuild's launcher does",
            "allow it: sysctl -w vm.memfd_noexec=1",
        )


def open_launcher() -> int:
    """A descriptor of the program, to be executed and never to be changed. Raises NoLauncher."""
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        opened = os.memfd_create("envbuild", flags | _MFD_EXEC)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise NoLauncher from error
        opened = os.memfd_create("envbuild", flags)  # before Linux 6.3 there is no such flag, and all can be executed
    os.write(opened, program(os.uname().machine))
    fcntl.fcntl(opened, fcntl.F_ADD_SEALS, _SEALS)
    return opened


def program(machine: str) -> bytes:
    """The program for a machine. Raises OSError where there is no code for it."""
    if machine not in _CODE:
        raise OSError(errno.ENOSYS, f"no launcher for {machine}")
    return elf(machine, _CODE[machine], ADDRESS)


def elf(machine: str, code: bytes, address: int) -> bytes:
    """A file with one segment, which is loaded at `address` and begins with the first byte of `code` (elf(5))."""
    size = _HEADERS + len(code)
    identity = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", identity, 2, _MACHINES[machine], 1, address + _HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0
    )
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, address, address, size, size, 0x10000)
    return header + segment + code
