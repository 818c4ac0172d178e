"""What a directory that steps keep a cache in was used with: of which files is what lies in it out of date?

make, ninja and cargo compare the times of what they made with those of what they made it of. What they made lies in a
cache with the machine's times, while a tree's times are its own. So a file of a tree that the cache has not been used
with is shown to the step with the time of now; and with that same time to later steps, until its content changes.

Steps of one stage follow each other: what is new in their tree counts as changed, too. Of what other stages and recipes
use the cache with, only those paths count that both have, with other contents.
"""

from __future__ import annotations

import os

from envbuild.record import Record
from envbuild.store.store import Store
from envbuild.text import json
from envbuild.tree.diff import diff, expanded
from envbuild.tree.entry import FILE, Digest, Entry
from envbuild.tree.lookup import lookup, walk
from envbuild.tree.times import content_time

KIND = "cache"
"""Of these records in the memo."""
MAX_USERS = 16
MAX_TREES = 8
MAX_CHANGED = 10_000
"""Files; of more, only those count whose times are not those of a package or an archive."""

Times = dict[bytes, tuple[Digest, int]]
"""The files that are shown with another time than their own: by path, their content and that time (nanoseconds)."""


class User(Record):
    """What one stage used a cache with: `number` counts all uses; `beside` is whether somebody else used it when this
    one began; `trees` are the last one and those that ran beside it."""

    number: int
    beside: bool
    trees: tuple[Digest, ...]
    times: Times


class CacheRecord:
    """The record of one cache."""

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._name = name
        self._users: dict[str, User] = {}
        stored = store.memo.get(KIND, name)
        self.is_known = stored is not None
        if stored is not None:
            try:
                self._users = {
                    user: User(
                        number,
                        beside,
                        tuple(trees),
                        {os.fsencode(path): (digest, time) for path, (digest, time) in times.items()},
                    )
                    for user, (number, beside, trees, times) in json.loads(stored).items()
                }
            except (ValueError, TypeError, AttributeError):
                self.is_known = False  # damaged: as if nothing were known

    def forget(self) -> None:
        """Begin anew, for a cache that is empty."""
        self._users = {}
        self.is_known = True

    def begin(self, user: str, tree: Digest, epoch: int, now: int, *, alone: bool) -> Times:
        """Note that `user` begins a step on `tree`; return the times that files are to be shown with. With `alone`,
        nobody else uses the cache now."""
        before = self._users.get(user)
        known = before or max(self._users.values(), key=lambda other: other.number, default=None)
        changed: dict[bytes, Entry] = {}
        if not self.is_known:
            changed |= self._own_files(tree, epoch)
        for old in known.trees if known is not None else ():
            changed |= self._changed(old, tree, epoch, added=True)
        for other in self._users.values():
            if other is not known and (before is None or before.beside or other.number > before.number):
                for old in other.trees:
                    changed |= self._changed(old, tree, epoch, added=False)
        times: Times = {}
        for path, (digest, time) in before.times.items() if before is not None else ():
            entry = lookup(self._store.trees, tree, path, follow=False)
            if entry is not None and entry.kind == FILE and entry.digest == digest:
                times[path] = digest, time
        times |= {path: (entry.digest, now) for path, entry in changed.items()}
        trees = (tree,) if alone or before is None else (tree, *(old for old in before.trees if old != tree))
        number = 1 + max((other.number for other in self._users.values()), default=0)
        self._users[user] = User(number, not alone, trees[:MAX_TREES], times)
        self.is_known = len(trees) <= MAX_TREES
        return times

    def save(self) -> None:
        """Write the record down. Before the step runs: one that is killed has used the cache."""
        latest = sorted(self._users.items(), key=lambda item: item[1].number)[-MAX_USERS:]
        plain = {
            user: (
                kept.number,
                kept.beside,
                kept.trees,
                {os.fsdecode(path): value for path, value in kept.times.items()},
            )
            for user, kept in latest
        }
        self._store.memo.put(KIND, self._name, json.dumps(plain, separators=(",", ":")).encode())

    def _changed(self, old: Digest, tree: Digest, epoch: int, *, added: bool) -> dict[bytes, Entry]:
        """Return the files of `tree` whose content is not that of `old`; with `added` also those that it lacks."""
        trees = self._store.trees
        if old == tree:
            return {}
        if not trees.has(old):
            return self._own_files(tree, epoch)
        changes = diff(trees, old, tree)
        changed = {}
        for change in expanded(trees, changes) if added else changes:
            before, after = change.before, change.after
            if after is None or after.kind != FILE:
                continue
            was_file = before is not None and before.kind == FILE
            if before is not None and before.digest != after.digest if was_file else added:
                changed[change.path] = after
        if len(changed) > MAX_CHANGED:
            return {path: entry for path, entry in changed.items() if _is_own(entry, epoch)}
        return changed

    def _own_files(self, tree: Digest, epoch: int) -> dict[bytes, Entry]:
        """Return the files of a tree that steps put there."""
        return {path: entry for path, entry in walk(self._store.trees, tree) if _is_own(entry, epoch)}


def _is_own(entry: Entry, epoch: int) -> bool:
    """Tell whether a file has a time that a step gave it, and not one of a package or an archive."""
    return entry.kind == FILE and (
        entry.mtime > epoch * 1_000_000_000 or entry.mtime == content_time(epoch, entry.digest)
    )
