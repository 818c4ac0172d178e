"""The program between a sandbox's own processes and the command: all that it does is to execute what follows.

A process that executes a script is replaced by the interpreter in the script's first line, and `/proc/self/exe` there
means what the process was until then. Would that be envbuild's own interpreter, a file of the host, then a script of
the image would run it with the image's loader and libraries, and so be the host's program with code of its own. So the
process becomes this program first, which lies in sealed memory (memfd_create(2)) and is no file of anybody's.
"""

from __future__ import annotations

import errno
import os

from envbuild.errors import MachineLacks, fields
from envbuild.linux.native import elf, open_program

_CODE = {
    "x86_64": bytes.fromhex(
        "4c8d6424084d89e5498b45004983c5084885c00f848a01000080380075ea4d89ee498b064983c6084885c075f441bf040000"
        "0031ed31c04489ff488db500006000ba0000800029ea740c0f054885c07e054801c5ebdf85ed0f84d2000000bb0000600048"
        "8b034885c07829488b7b08488b7310488b53184c8b53204c8b43284c8b4b300f054885c00f88370100004883c340ebcf448b"
        "7b084883c003749548ffc87518b8390000000f054885c00f881201000075144883c340eba84c8b63084c8b6b104c8b7318eb"
        "6789c5b83d00000048c7c7ffffffffbe0000600031d24531d20f0539e875e4b83e00000048c7c7ffffffffbe090000000f05"
        "b83d00000048c7c7ffffffff31f631d24531d20f054883f8f675e5b801000000bf03000000be00006000ba040000000f05e9"
        "89000000b848000000bf03000000be02000000ba010000000f05498b3c24803f007454b83b0000004c89ee4c89f20f05f7d8"
        "89c583fd027516b815000000498b3c2431f60f0585c07505bd4f00000055b801000000bf030000004889e6ba010000000f05"
        "4983c40883fd0d74ad83fd1474a883fd0274a36a00b801000000bf030000004889e6ba010000000f05b8e7000000bf7f0000"
        "000f05f7d8c1e01081eb00006000c1e30209d80dff00000050b801000000bf030000004889e6ba030000000f05ebc8"
    ),
    "aarch64": bytes.fromhex(
        "f3230091f40313aa808640f8000e00b400004039a0ffff35f50314aaa08640f8e0ffffb5180ca0d21910a0d29a0080d21600"
        "80d2e80780d2e0031aaa0103168b220316ebc0000054010000d41f0000f16d000054d602008bf7ffff17360700b4f70318aa"
        "e80240f90801f8b7e08640a9e28e41a9e49642a9010000d4a00bf8b7f7020191f8ffff17fa0640f91f0d00b100fdff541f05"
        "00b180010054881b80d2200280d2010080d2020080d2030080d2040080d2010000d4c009f8b7c00000b5f7020191e8ffff17"
        "f3d240a9f50e40f91c000014f60300aa882080d200008092e10318aa020080d2030080d2010000d41f0016eb21ffff542810"
        "80d200008092210180d2010000d4882080d200008092010080d2020080d2030080d2010000d41f2800b121ffff54080880d2"
        "600080d2e10318aa820080d2010000d42a000014280380d2600080d2410080d2220080d2010000d4600240f9010040398103"
        "0034a81b80d2e10314aae20315aa010000d4f60300cbdf0a00f101010054080680d2600c8092610240f9020080d2010000d4"
        "400000b5f60980d2f60f1ff8080880d2600080d2e1030091220080d2010000d473220091df3600f1e0fcff54df5200f1a0fc"
        "ff54df0a00f160fcff54ff0f1ff8080880d2600080d2e1030091220080d2010000d4c80b80d2e00f80d2010000d4e00300cb"
        "00bc70d3f70218cbf7f67ed3000017aa001c40b2e00f1ff8080880d2600080d2e1030091620080d2010000d4f1ffff17"
    ),
}
"""What launcher_MACHINE.S beside this file assembles to.

Its argv is the paths to try, an empty one, and the argv of what is executed. If descriptor 4 is open, orders come from
there, and they say what is executed (child_orders.py). For each path that could not be executed it writes the error's
number as a byte to descriptor 3, and a zero when it gives up. It tries the next path where nothing is there, or where
it may not be executed; ELIBACC stands for a program that is there and lacks its interpreter."""
REPORTS, ORDERS = 3, 4
"""The descriptors that it writes to and reads from."""


@fields
class NoLauncher(MachineLacks):
    """The kernel executes nothing that lies in memory (vm.memfd_noexec is 2)."""

    def text(self) -> tuple[str, str]:
        return (
            "this machine executes no program that lies in memory, as envbuild's launcher does",
            "allow it: sysctl -w vm.memfd_noexec=1",
        )


def open_launcher() -> int:
    """Return a descriptor of the program, to be executed and never to be changed. Raises NoLauncher."""
    content = program(os.uname().machine)
    try:
        return open_program(content)
    except OSError as error:
        raise NoLauncher from error


def program(machine: str) -> bytes:
    """Return the program for a machine. Raises OSError where there is no code for it."""
    if machine not in _CODE:
        raise OSError(errno.ENOSYS, f"no launcher for {machine}")
    return elf(machine, _CODE[machine])
