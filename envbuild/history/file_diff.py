"""The difference of two file contents for a reader: line by line, or as descriptions of two kinds of file."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator

from envbuild.debian.elf import parse_elf
from envbuild.errors import UsageError, fields
from envbuild.history.compare import Comparison
from envbuild.history.patch import Text, mode_lines, patch_lines
from envbuild.store.objects import MAX_READ
from envbuild.store.store import Store
from envbuild.tree.diff import Change
from envbuild.tree.entry import FILE, KIND_WORDS, LINK, ROOT_NAME, Entry

MAX_TEXT = 4_000_000
"""Bytes of a text that is compared line by line."""
_HEAD = 8_000
_NM_MEMORY, _NM_SECONDS = 1 << 30, 20
MAX_PROGRAM = 256 << 20
"""Bytes of a program whose symbols are compared."""
_MAX_SYMBOLS = 12
_MAGIC = (
    (b"\x7fELF", "ELF"),
    (b"\x1f\x8b", "gzip data"),
    (b"PK\x03\x04", "zip archive"),
    (b"\x89PNG", "PNG image"),
    (b"!<arch>\n", "ar archive"),
    (b"\xfd7zXZ", "xz data"),
    (b"(\xb5/\xfd", "zstd data"),
    (b"SQLite format 3", "SQLite database"),
)


@fields
class NotInStore(UsageError):
    """An image whose contents the store does not have."""

    label: str

    def text(self) -> tuple[str, str]:
        return f"{self.label} is not in this store, only its lock is known", "build it to compare its files"


@fields
class SameThere(UsageError):
    """A path without a difference that was named by the user."""

    path: str

    def text(self) -> tuple[str, str]:
        return f"nothing differs at {self.path}", "list all differences: envbuild diff --files"


def texts_of(store: Store, comparison: Comparison, path: str) -> Iterator[str]:
    """Return the lines of a patch of all contents that differ at `path` or below it. Raises NotInStore and
    SameThere."""
    if not comparison.whole:
        raise NotInStore(next(operand.label for operand in (comparison.old, comparison.new) if operand.tree is None))
    wanted = path.strip("/").encode("utf-8", "surrogateescape")
    # A package manager's own file is left out of the whole, but shown if the user names it.
    folded = {change.path for change in comparison.records} if not wanted else set()
    chosen = [
        change
        for change in comparison.changes
        if not wanted or change.path == wanted or change.path.startswith(wanted + b"/")
    ]
    if not chosen and wanted:
        raise SameThere(path)
    return (line for change in chosen if change.path not in folded for line in text_changes(store, change))


def text_changes(store: Store, change: Change) -> Iterator[str]:
    """Yield the difference at one path: a patch of texts, links and modes, and in words what a patch can't hold.

    The words begin with the path, and so are no line that patch(1) looks for. Only the beginning is read of a file that
    is too large to be compared line by line.
    """
    path = "/" + change.path.decode("utf-8", "backslashreplace").replace("\n", "\\n")
    if change.path == ROOT_NAME:
        path = "/"
    yield from (f"{path}: {words}" for words in _beside(change))
    before, after = _side(store, change.before), _side(store, change.after)
    if before is None and after is None:
        return
    old, new = (Text(*side) if side is not None and _is_text(side) else None for side in (before, after))
    binary = any(side is not None and not _is_text(side) for side in (before, after))
    if not binary:
        if old is None or new is None or (old.mode, old.content) != (new.mode, new.content):
            yield from patch_lines(change.path, old, new)
        return
    if before is None or after is None or not _same(before, after):
        yield f"{path}: {_described(before)} -> {_described(after)}"
        if before is not None and after is not None:
            yield from (f"  {line}" for line in _of_programs(store, before, after))
    if before is not None and after is not None and before[0].kind == after[0].kind == FILE:
        modes = Text(before[0], b""), Text(after[0], b"")
        if modes[0].mode != modes[1].mode:
            yield from mode_lines(change.path, *modes)


def _beside(change: Change) -> Iterator[str]:
    """Yield what differs at a path that is no content, and that a patch does not have."""
    before, after = change.before, change.after
    kinds = [entry.kind if entry is not None else "" for entry in (before, after)]
    if kinds[0] != kinds[1] and not {FILE, LINK, ""} >= set(kinds):
        names = [KIND_WORDS.get(kind, "nothing") for kind in kinds]
        yield f"{names[0]} -> {names[1]}"
    if before is None or after is None:
        return
    if (before.uid, before.gid) != (after.uid, after.gid):
        yield f"owner {before.uid}:{before.gid} -> {after.uid}:{after.gid}"
    if before.mode != after.mode and after.kind not in (FILE, LINK):
        yield f"mode {before.mode:04o} -> {after.mode:04o}"
    if before.xattrs != after.xattrs:
        yield "extended attributes"


def _side(store: Store, entry: Entry | None) -> tuple[Entry, bytes] | None:
    """Return an entry with its content, or only the beginning of a large one; None if it has no content."""
    if entry is None or entry.kind not in (FILE, LINK):
        return None
    if entry.kind == LINK:
        return entry, entry.target
    descriptor = store.objects.open(entry)
    try:
        return entry, os.pread(descriptor, MAX_TEXT if entry.size <= MAX_TEXT else _HEAD, 0)
    finally:
        os.close(descriptor)


def _same(before: tuple[Entry, bytes], after: tuple[Entry, bytes]) -> bool:
    if before[0].kind == after[0].kind == FILE:
        return before[0].digest == after[0].digest
    return before[1] == after[1]


def _is_text(side: tuple[Entry, bytes]) -> bool:
    """Return whether content is compared line by line."""
    entry, content = side
    return b"\0" not in content and entry.size <= MAX_TEXT


def _described(side: tuple[Entry, bytes] | None) -> str:
    if side is None:
        return "nothing"
    entry, content = side
    kind = next((name for magic, name in _MAGIC if content.startswith(magic)), "")
    if entry.name.endswith(b".pyc") and content[2:4] == b"\r\n":
        kind = "compiled Python"
    if entry.kind == LINK:
        return f"a link to {content.decode('utf-8', 'backslashreplace')}"
    plain = "binary" if b"\0" in content[:8000] else "text"
    return f"{kind or plain}, {entry.size} bytes"


def _of_programs(store: Store, *sides: tuple[Entry, bytes]) -> Iterator[str]:
    """Yield the differences between two ELF files: needed libraries, and symbols if nm(1) is installed."""
    if any(entry.kind != FILE or entry.size > MAX_READ or head[:4] != b"\x7fELF" for entry, head in sides):
        return
    old, new = (store.objects.read(entry) for entry, _ in sides)
    before, after = parse_elf(old), parse_elf(new)
    if before is None or after is None:
        return
    yield from (f"no longer needs {name}" for name in before.needed if name not in after.needed)
    yield from (f"now needs {name}" for name in after.needed if name not in before.needed)
    if shutil.which("nm") is None or shutil.which("prlimit") is None:
        yield "symbols: not compared, since nm (binutils) is not installed"
        return
    if max(len(old), len(new)) > MAX_PROGRAM:
        yield "symbols: not compared, since the files are too large"
        return
    ours, theirs = _symbols(old), _symbols(new)
    for verb, names in (("no longer has", sorted(ours - theirs)), ("now has", sorted(theirs - ours))):
        yield from (f"{verb} symbol {name}" for name in names[:_MAX_SYMBOLS])
        if len(names) > _MAX_SYMBOLS:
            yield f"{verb} {len(names) - _MAX_SYMBOLS} more symbols"


def _symbols(content: bytes) -> set[str]:
    import tempfile

    with tempfile.NamedTemporaryFile(prefix="envbuild-elf-") as file, tempfile.TemporaryFile() as listed:
        file.write(content)
        file.flush()
        # Binutils trust their input more than anybody should trust a file of an image: limit what a bad one can use.
        limits = [f"--as={_NM_MEMORY}", f"--cpu={_NM_SECONDS}", f"--fsize={MAX_READ}", "--core=0"]
        words = ["prlimit", *limits, "nm", "--dynamic", "--format=posix", file.name]
        subprocess.run(words, stdout=listed, stderr=subprocess.DEVNULL, check=False, env={"PATH": os.defpath})
        listed.seek(0)
        lines = listed.read(MAX_READ).decode(errors="replace").splitlines()
    words_of = (line.split() for line in lines if line.isprintable())
    return {f"{words[0]} ({words[1]})" for words in words_of if len(words) > 1}
