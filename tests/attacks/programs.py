"""Programs of an attacker that need nothing of an image: assembled here, with the sandbox's own ELF header."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from envbuild.linux import native


def assembled(source: str, folder: Path, *, address: int = native.ADDRESS) -> bytes:
    """A static program for this machine, loaded at `address`."""
    if shutil.which("as") is None or os.uname().machine != "x86_64":
        pytest.skip("needs binutils, and an x86-64 machine")
    (folder / "program.S").write_text(source)
    subprocess.run(["as", "program.S", "-o", "program.o"], cwd=folder, check=True)
    subprocess.run(["objcopy", "-O", "binary", "-j", ".text", "program.o", "program.bin"], cwd=folder, check=True)
    return native.elf("x86_64", (folder / "program.bin").read_bytes(), address)


TELL_EXECUTABLE = """
        lea     path(%rip), %rdi
        lea     -600(%rsp), %rsi
        mov     $500, %edx
        mov     $89, %eax               # readlink("/proc/self/exe")
        syscall
        mov     %eax, %edx
        mov     $1, %edi
        mov     $1, %eax                # write(1, ...)
        syscall
        xor     %edi, %edi
        mov     $231, %eax              # exit_group(0)
        syscall
path:   .asciz  "/proc/self/exe"
"""
"""As a dynamic loader: tells which program the kernel wanted it to load, where it could have been any code."""
