"""What was edited by hand on a machine: the lines that differ, and whether a file is what its package shipped."""

from __future__ import annotations

from envbuild.history.line_diff import unified
from envbuild.history.shipped import ShippedFiles
from envbuild.record import Record
from envbuild.store.database import StoreDamaged
from envbuild.store.store import Store
from envbuild.tree.diff import Change
from envbuild.tree.entry import FILE, Digest, Entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_FILES = 100
"""Files that are read; of more only the paths are known."""
MAX_TEXT = 256 << 10
"""Bytes of a file whose lines are compared."""
MAX_LINES = 40
"""Lines of a file that are kept."""
_CONFIGURATION = (b"etc/", b"var/spool/cron/", b"root/.", b"home/", b"boot/")

_SECRET = (b"etc/shadow", b"etc/gshadow")
"""Nobody's hash is shown to whoever stands behind the reader."""


class HandEdit(Record):
    """A file that was edited. `package` is the one that ships it, "" for none; `words` say what it is against what that
    shipped, "" if that is not known. `lines` are those that differ, each with `-` or `+`."""

    package: str
    words: str
    lines: tuple[str, ...]


def hand_edits(
    store: Store, trees: tuple[Digest, Digest], changes: Iterable[Change], owned: Mapping[bytes, str]
) -> dict[bytes, HandEdit]:
    """Return what is known of files of configuration and of packages (`owned`, by their names) that no package's move
    explains, by path."""
    edits: dict[bytes, HandEdit] = {}
    sides = tuple(ShippedFiles(store, tree) for tree in trees)
    for change in changes:
        before, after = change.before, change.after
        content = before is None or after is None or before.digest != after.digest
        plain = all(entry is None or (entry.kind == FILE and entry.size <= MAX_TEXT) for entry in (before, after))
        if change.path in _SECRET or not plain or not content:
            continue
        if not (change.path in owned or change.path.startswith(_CONFIGURATION)):
            continue
        if len(edits) == MAX_FILES:
            break
        package, words = _against_package(change, sides, owned.get(change.path, ""))
        try:
            edits[change.path] = HandEdit(package, words, tuple(_lines(store, before, after)))
        except StoreDamaged:
            continue
    return edits


def _against_package(change: Change, sides: tuple[ShippedFiles, ...], owner: str) -> tuple[str, str]:
    """Return the package that ships a file, and in words what it is against that."""
    states: list[bool | None] = []
    package = owner
    for files, entry in zip(sides, (change.before, change.after), strict=True):
        shipped = files.of(change.path, owner)
        package = package or (shipped.package if shipped is not None else "")
        states.append(files.is_as_shipped(entry, shipped) if shipped is not None and entry is not None else None)
    before, after = states
    if after is True:
        return package, f"as {package} shipped it again" if before is False else f"as {package} shipped it"
    if after is False:
        return package, f"edited again; {package} shipped another" if before is False else f"edited; from {package}"
    return package, f"removed; {package} shipped it" if package and change.after is None else ""


def _lines(store: Store, before: Entry | None, after: Entry | None) -> list[str]:
    contents = [store.objects.read(entry, MAX_TEXT) if entry is not None else b"" for entry in (before, after)]
    if any(b"\0" in content for content in contents) or after is None:
        return []
    old, new = (content.decode("utf-8", "surrogateescape").splitlines() for content in contents)
    differing = (line for line in unified(old, new) if line[:1] in "+-")
    return [line for line, _ in zip(differing, range(MAX_LINES), strict=False)]
