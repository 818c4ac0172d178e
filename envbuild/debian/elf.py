"""What a program or library says of itself: its loader, the libraries it needs, its own name (ELF, System V ABI)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

_INTERPRETER, _DYNAMIC, _LOAD = 3, 2, 1
_MAX_NAME = 4096
"""Bytes of a name."""
_MAX_TAGS = 10_000
_NEEDED, _STRING_TABLE, _NAME, _RPATH, _RUNPATH = 1, 5, 14, 15, 29


@dataclass(frozen=True, slots=True)
class Elf:
    """`machine` is e_machine; `paths` are RPATH and RUNPATH entries; `bits` is 32 or 64."""

    bits: int
    machine: int
    interpreter: str
    name: str
    needed: tuple[str, ...]
    paths: tuple[str, ...]


def read_elf(path: str) -> Elf | None:
    """Return the dynamic section of a file; None for what is not a dynamic ELF file or is damaged."""
    try:
        with open(path, "rb") as file:
            if file.read(4) != b"\x7fELF":
                return None
            file.seek(0)
            return parse_elf(file.read())
    except OSError:
        return None


def parse_elf(data: bytes) -> Elf | None:
    """Return the dynamic section of a file's content; None for what is not a dynamic ELF file or is damaged."""
    if data[:4] != b"\x7fELF":
        return None
    try:
        return _parse(data)
    except (struct.error, IndexError, ValueError, OverflowError, StopIteration):
        return None


def _parse(data: bytes) -> Elf | None:
    wide = data[4] == 2
    order = "<" if data[5] == 1 else ">"
    (machine,) = struct.unpack_from(order + "H", data, 18)
    if wide:
        (table,) = struct.unpack_from(order + "Q", data, 32)
        size, count = struct.unpack_from(order + "HH", data, 54)
    else:
        (table,) = struct.unpack_from(order + "I", data, 28)
        size, count = struct.unpack_from(order + "HH", data, 42)
    segments = []
    for number in range(count):
        at = table + number * size
        if wide:
            kind, _, offset, address, _, length = struct.unpack_from(order + "IIQQQQ", data, at)
        else:
            kind, offset, address, _, length = struct.unpack_from(order + "IIIII", data, at)
        segments.append((kind, offset, address, length))
    interpreter = ""
    dynamic = None
    for kind, offset, _, length in segments:
        if kind == _INTERPRETER:
            interpreter = data[offset : offset + length].split(b"\0")[0].decode()
        elif kind == _DYNAMIC:
            dynamic = (offset, length)
    if dynamic is None:
        return None
    step = 16 if wide else 8
    if dynamic[1] > _MAX_TAGS * step:
        return None
    tags = [
        struct.unpack_from(order + ("qQ" if wide else "iI"), data, at)
        for at in range(dynamic[0], dynamic[0] + dynamic[1], step)
    ]
    strings = next(value for tag, value in tags if tag == _STRING_TABLE)
    base = next(
        offset + strings - address
        for kind, offset, address, length in segments
        if _holds(kind, address, length, strings)
    )

    def text(value: int) -> str:
        return data[base + value : data.index(b"\0", base + value, base + value + _MAX_NAME)].decode()

    return Elf(
        bits=64 if wide else 32,
        machine=machine,
        interpreter=interpreter,
        name=next((text(value) for tag, value in tags if tag == _NAME), ""),
        needed=tuple(text(value) for tag, value in tags if tag == _NEEDED),
        paths=tuple(p for tag, value in tags if tag in (_RPATH, _RUNPATH) for p in text(value).split(":")),
    )


def _holds(kind: int, address: int, length: int, wanted: int) -> bool:
    return kind == _LOAD and address <= wanted < address + length
