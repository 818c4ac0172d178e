"""The difference of two file contents for a reader: line by line, or as descriptions of two kinds of file."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator

from envbuild.debian.elf import parse_elf
from envbuild.errors import UsageError, fields
from envbuild.history.compare import Comparison
from envbuild.store.objects import MAX_READ
from envbuild.store.store import Store
from envbuild.tree.diff import Change
from envbuild.tree.entry import FILE, LINK, Entry

MAX_TEXT = 4_000_000
"""Bytes of a text that is compared line by line."""
_HEAD = 8_000
_NM_MEMORY, _NM_SECONDS = 1 << 30, 20
MAX_PROGRAM = 256 << 20
"""Bytes of a program whose symbols are compared."""
_CONTEXT = 3
_SHOWN_SYMBOLS = 12
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


def texts_of(store: Store, comparison: Comparison, path: str) -> list[str]:
    """Return the lines of a diff of all contents that differ at `path` or below it. Raises NotInStore and SameThere."""
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
    return [line for change in chosen if change.path not in folded for line in text_changes(store, change)]


def text_changes(store: Store, change: Change) -> Iterator[str]:
    """Yield the difference at one path: a unified diff of texts (as `diff -u` prints it), else a description. Nothing
    for directories.

    Only the beginning is read of a file that is too large to be compared line by line.
    """
    path = "/" + change.path.decode("utf-8", "backslashreplace")
    before, after = _side(store, change.before), _side(store, change.after)
    if before is None and after is None:
        return
    if before is not None and after is not None and _same(before, after):
        return
    texts = [_text(side) if side is not None else [] for side in (before, after)]
    if None in texts:
        yield f"{path}: {_described(before)} -> {_described(after)}"
        if before is not None and after is not None:
            yield from (f"  {line}" for line in _of_programs(store, before, after))
        return
    yield f"--- {path if before is not None else '/dev/null'}"
    yield f"+++ {path if after is not None else '/dev/null'}"
    yield from unified(texts[0] or [], texts[1] or [])


def unified(old: list[str], new: list[str]) -> Iterator[str]:
    """Yield the hunks of a unified diff of two lists of lines.

    Common lines at both ends are skipped first: the comparison's cost grows with the square of the rest.
    """
    from envbuild.history.line_diff import grouped, opcodes  # difflib: only if texts are compared

    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    lead, tail = min(start, _CONTEXT), min(end, _CONTEXT)
    skipped = start - lead
    old, new = old[skipped : len(old) - end + tail], new[skipped : len(new) - end + tail]
    for group in grouped(opcodes(old, new), _CONTEXT):
        first, last = group[0], group[-1]
        yield f"@@ -{_range(skipped + first[1], skipped + last[2])} +{_range(skipped + first[3], skipped + last[4])} @@"
        for kind, a, b, c, d in group:
            if kind == "equal":
                yield from (f" {line}" for line in old[a:b])
            else:
                yield from (f"-{line}" for line in old[a:b])
                yield from (f"+{line}" for line in new[c:d])


def _range(start: int, stop: int) -> str:
    length = stop - start
    begin = start + 1 if length else start
    return str(begin) if length == 1 else f"{begin},{length}"


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


def _text(side: tuple[Entry, bytes]) -> list[str] | None:
    """Return the lines of a text, None for other content."""
    entry, content = side
    if b"\0" in content or entry.size > MAX_TEXT:
        return None
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    lines = text.split("\n")
    if lines[-1] == "":
        return lines[:-1]
    return [*lines[:-1], f"{lines[-1]}\n\\ No newline at end of file"]


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
        yield from (f"{verb} symbol {name}" for name in names[:_SHOWN_SYMBOLS])
        if len(names) > _SHOWN_SYMBOLS:
            yield f"{verb} {len(names) - _SHOWN_SYMBOLS} more symbols"


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
    return {f"{line.split()[0]} ({line.split()[1]})" for line in lines if len(line.split()) > 1}
