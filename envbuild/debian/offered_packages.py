"""The packages that apt can get, by the lists that it has of its archives."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Collection, Iterator
from contextlib import ExitStack

LISTS = "/var/lib/apt/lists"
HELPER = "/usr/lib/apt/apt-helper"
"""apt's own reader of lists, which may be compressed in ways that Python does not know (lz4)."""
SECONDS = 120.0
_PARAGRAPH = re.compile(rb"\n\n+")
_FIELD = re.compile(rb"^(Package|Version|Architecture): *([^\n]+)", re.MULTILINE)
_CHUNK = 4 << 20
_MAX_PARAGRAPH = 16 << 20

Name = tuple[str, str, str]
"""Name, version and architecture of a package."""


def offered(lists: Collection[tuple[str, int]], wanted: Collection[Name]) -> set[Name]:
    """Return those of the `wanted` packages that are in one of the lists of packages, given by their names and
    open."""
    left = set(wanted)
    for name, descriptor in lists:
        for paragraph in _paragraphs(name, descriptor):
            fields = {field: value.decode("utf-8", "replace").strip() for field, value in _FIELD.findall(paragraph)}
            left.discard((fields.get(b"Package", ""), fields.get(b"Version", ""), fields.get(b"Architecture", "")))
    return set(wanted) - left


def is_list(name: str) -> bool:
    """Tell whether a file in apt's directory of lists has packages."""
    stem = name.rsplit(".", 1)[0] if name.endswith((".lz4", ".gz", ".xz", ".zst", ".bz2")) else name
    return stem.endswith("_Packages")


def _paragraphs(name: str, descriptor: int) -> Iterator[bytes]:
    """Yield the paragraphs of one list; none of a list that apt's program can't read."""
    if not os.access(HELPER, os.X_OK):
        return
    with tempfile.TemporaryDirectory(prefix="envbuild-") as folder, ExitStack() as stack:
        # The program goes by the end of the name.
        path = f"{folder}/list.{name.rpartition('.')[2]}"
        os.symlink(f"/proc/self/fd/{descriptor}", path)
        program = stack.enter_context(
            subprocess.Popen(
                ["timeout", f"{SECONDS:.0f}", HELPER, "cat-file", path],
                pass_fds=(descriptor,),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        )
        assert program.stdout is not None
        rest = b""
        while chunk := program.stdout.read(_CHUNK):
            *whole, rest = _PARAGRAPH.split(rest + chunk)
            yield from whole
            if len(rest) > _MAX_PARAGRAPH:
                program.kill()
                return
        yield rest
