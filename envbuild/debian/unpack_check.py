"""Whether packages that are unpacked after others leave the tree that unpacking them before these would have left.

Unpacking an archive whose script goes by nothing else adds files, and a stanza to dpkg's status. So the order of two
archives counts only where these meet. That is looked at, not taken for granted: the packages are unpacked `alone`, too,
on the tree of before the others, and must have done the same there.
"""

from __future__ import annotations

import re

from envbuild.record import Record
from envbuild.store.objects import TooLargeToRead
from envbuild.store.store import Store
from envbuild.tree.diff import Change, diff, expanded
from envbuild.tree.entry import DIRECTORY, ROOT_NAME, Digest, Entry
from envbuild.tree.lookup import LinkCircle, lookup

STATUS = "var/lib/dpkg/status"
MAX_STATUS = 64 << 20
_INFO = b"var/lib/dpkg/info/"
_CHANGING = frozenset(
    (b"var/lib/dpkg/lock", b"var/lib/dpkg/status", b"var/lib/dpkg/status-old", b"var/lib/dpkg/triggers/Lock")
)
"""What each run of dpkg writes: locks, and the status, which is looked at on its own."""
_OF_DPKG = (b"etc/dpkg/", b"usr/bin/dpkg", b"usr/lib/dpkg/", b"usr/libexec/dpkg/", b"usr/share/dpkg/", b"var/lib/dpkg/")
"""Where files lie that decide how later archives are unpacked."""


class Trees(Record):
    """Four trees: `before` any of the packages; with the `others` unpacked, among which may be some of those in
    question; with all those in question `alone`; and with the rest of them `on_top` of the others."""

    before: Digest
    others: Digest
    alone: Digest
    on_top: Digest


def order_does_not_count(store: Store, trees: Trees, named: frozenset[str]) -> bool:
    """Return whether `on_top` is what unpacking the packages in question before the others would have left. `named` are
    the paths that scripts of any of them go by."""
    try:
        return _same_files(store, trees, named) and _same_stanzas(store, trees)
    except (LinkCircle, TooLargeToRead):
        return False


def _same_files(store: Store, trees: Trees, named: frozenset[str]) -> bool:
    alone = _effect(store, trees.before, trees.alone)
    added = _effect(store, trees.others, trees.on_top)
    if alone is None or added is None or not added.keys() <= alone.keys():
        return False
    for path, entry in alone.items():
        # What others have, too, can only be a directory, and who came first must not show.
        there = lookup(store.trees, trees.on_top, path, follow=False)
        if there is None or not _equal(entry, there):
            return False
        shared = entry.kind == DIRECTORY and path not in added
        if shared and not (_is_filled(store, entry) and _is_filled(store, there)) and entry.mtime != there.mtime:
            return False
    return not any(_meets(alone, path.encode()) for path in named)


def _meets(added: dict[bytes, Entry], path: bytes) -> bool:
    """Return whether anything was added at a path, below it, or as a link on the way to it."""
    parts = path.split(b"/")
    above = (b"/".join(parts[:number]) for number in range(1, len(parts)))
    if any((entry := added.get(place)) is not None and entry.kind != DIRECTORY for place in above):
        return True
    return any(place == path or place.startswith(path + b"/") for place in added)


def _effect(store: Store, before: Digest, after: Digest) -> dict[bytes, Entry] | None:
    """Return what unpacking added, by path; None if it changed or removed something, or added what dpkg itself goes
    by."""
    added: dict[bytes, Entry] = {}
    for change in expanded(store.trees, diff(store.trees, before, after)):
        if change.path in _CHANGING or _is_touched(change):
            continue
        if change.before is not None or change.after is None:
            return None
        if change.path.startswith(_OF_DPKG) and not change.path.startswith(_INFO):
            return None
        added[change.path] = change.after
    return added


def _is_touched(change: Change) -> bool:
    """Return whether of a directory only the time has changed, as it does when something is put into it."""
    before, after = change.before, change.after
    if before is None or after is None or before.kind != DIRECTORY or after.kind != DIRECTORY:
        return False
    return change.path == ROOT_NAME or _equal(before, after)


def _equal(first: Entry, second: Entry) -> bool:
    """Return whether two entries are the same; of directories the content and the time don't count. What dpkg writes
    itself in INFO has the time of that."""
    if first.kind == second.kind == DIRECTORY:
        second = second._replace(digest=first.digest, mtime=first.mtime)
    return first._replace(mtime=0) == second._replace(mtime=0)


def _is_filled(store: Store, directory: Entry) -> bool:
    return any(entry.name != ROOT_NAME for entry in store.trees.load(directory.digest))


def _same_stanzas(store: Store, trees: Trees) -> bool:
    before, others, alone, on_top = (
        _stanzas(store, tree) for tree in (trees.before, trees.others, trees.alone, trees.on_top)
    )
    names = list(on_top)
    if None in (before, others, alone, on_top) or names != sorted(names):
        return False  # in another order the place of a stanza could depend on when it came
    shown = alone.keys() - before.keys()
    if on_top.keys() != others.keys() | shown:
        return False
    if any(on_top[name] != (alone if name in shown else others)[name] for name in names):
        return False
    if any(others[name] != alone[name] for name in shown & others.keys()):
        return False
    # Triggers that wait for a package are listed in the order in which they came.
    touched = {name for name in before if before[name] != alone.get(name)}
    return all(len(_pending(on_top[name])) == 1 for name in touched)


def _stanzas(store: Store, tree: Digest) -> dict[tuple[str, str], str]:
    """Return the stanzas of dpkg's status by name and architecture, in their order."""
    text = store.read_text(tree, STATUS, MAX_STATUS) or ""
    stanzas = {}
    for stanza in text.split("\n\n"):
        name = re.search(r"^Package: (\S+)$", stanza, re.MULTILINE)
        if name is not None:
            architecture = re.search(r"^Architecture: (\S+)$", stanza, re.MULTILINE)
            stanzas[name[1], architecture[1] if architecture else ""] = stanza
    return stanzas


def _pending(stanza: str) -> list[str]:
    line = re.search(r"^Triggers-Pending: (.+)$", stanza, re.MULTILINE)
    return line[1].split() if line else []
