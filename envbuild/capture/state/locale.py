"""Languages, keyboard and time zone."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator

from envbuild.capture.machine_root import MachineRoot
from envbuild.digest import sha256_of

_SETTINGS = ("/etc/default/locale", "/etc/locale.conf", "/etc/default/keyboard", "/etc/vconsole.conf")
_FOLDER = "/usr/lib/locale"
_ARCHIVE = f"{_FOLDER}/locale-archive"
_MAGIC = 0xDE020109
_MAX_BYTES = 1 << 20
_MAX_LOCALES = 5000
_ZONES = "zoneinfo/"


def locales(root: MachineRoot) -> Iterator[tuple[str, ...]]:
    """Yield the settings with their file, the locales that are to be generated, and those that are there."""
    for path in _SETTINGS:
        for line in (root.read_text(path, _MAX_BYTES) or "").split("\n"):
            name, equals, value = line.strip().partition("=")
            if equals and not name.startswith("#"):
                yield "set", name, value.strip("\"'"), path
    for line in (root.read_text("/etc/locale.gen", _MAX_BYTES) or "").split("\n"):
        if (words := line.split()) and not words[0].startswith("#"):
            yield "generated", " ".join(words)
    for name in root.names(_FOLDER):
        if root.names(f"{_FOLDER}/{name}"):
            yield "there", name
    yield from (("there", name) for name in _archived(root))


def time_zone(root: MachineRoot) -> Iterator[tuple[str, ...]]:
    """Yield the zone's name as the files have it, and whether the hardware's clock has local time."""
    target = root.link("/etc/localtime")
    if target is not None:
        yield "localtime", target.rpartition(_ZONES)[2] if _ZONES in target else target
    elif (content := root.read("/etc/localtime", _MAX_BYTES)) is not None:
        yield "localtime", f"a file with sha256 {sha256_of(content)}"
    if name := (root.read_text("/etc/timezone", _MAX_BYTES) or "").strip():
        yield "timezone", name
    lines = (root.read_text("/etc/adjtime", _MAX_BYTES) or "").split("\n")
    if len(lines) > 2 and lines[2].strip() in ("UTC", "LOCAL"):
        yield "hardware clock", lines[2].strip()


def _archived(root: MachineRoot) -> Iterator[str]:
    """Yield the names in glibc's archive of locales (locale/locarchive.h of glibc): a header, whose table of names has
    12 bytes for each: hash, place of the name, place of the record. Only these are read: an archive has 200 MB."""
    try:
        archive = root.open(_ARCHIVE)
    except OSError:
        return
    try:
        if not stat.S_ISREG(os.fstat(archive).st_mode):
            return
        header = os.pread(archive, 16 * 4, 0)
        if len(header) < 16 * 4:
            return
        magic, _, place, used, size = struct.unpack_from("=5I", header)
        if magic != _MAGIC or used > _MAX_LOCALES or size > _MAX_LOCALES * 4:
            return
        table = os.pread(archive, size * 12, place)
        for _, name, record in struct.iter_unpack("=3I", table[: len(table) // 12 * 12]):
            if record:
                yield os.pread(archive, 256, name).partition(b"\0")[0].decode("utf-8", "surrogateescape")
    finally:
        os.close(archive)
