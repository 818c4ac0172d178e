"""After the machine was started anew: files of the pool that were not synced before are read, and held against their
names. What did not reach the disk is put aside, before a build relies on it.

Layers are checked when they are mounted (store/stacks.py), directories of trees whenever they are loaded.
"""

from __future__ import annotations

import time

from envbuild.errors import EnvbuildError
from envbuild.linux import boot
from envbuild.store.database import StoreDamaged
from envbuild.store.store import SYNCED
from envbuild.text import json
from envbuild.tree.entry import DIRECTORY, FILE, Digest, object_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from envbuild.store.store import Store


CHECKED = "checked in boot"
"""Under which the database remembers the start of the machine that the pool was last looked at in."""


def recover(store: Store) -> None:
    """Look once after each start of the machine. What is lost is reported when it is needed again."""
    started = boot.boot_id().encode()
    if store.database.read_only or store.memo.get(CHECKED, "") == started:
        return
    # Only once after each start.
    from envbuild.store.missing_objects import put_aside
    from envbuild.store.object_check import identity_at, is_itself

    synced = int(store.memo.get(SYNCED, "") or b"0")
    if synced > time.time_ns():
        synced = 0  # the clock went back: what was written since may look older
    newer = store.objects.changed_since(synced)

    def damaged() -> list[str]:
        return [path for path in newer if not is_itself(path, owners=store.owners_observable)]

    for path in _in_namespace(store, damaged) if newer else ():
        store.lost.add(identity_at(path))
        put_aside(path, store.path)
    _find_missing(store, synced)
    store.memo.put(CHECKED, "", started)


def _find_missing(store: Store, synced: int) -> None:
    """Remember as lost what results of after the last sync, and bases, lead to and the store does not have."""
    pending = [row[0] for row in store.database.rows("SELECT tree FROM steps WHERE made > ?", (synced / 1e9 - 1,))]
    if not pending:
        return
    pending += [json.loads(row[0])["tree"] for row in store.database.rows("SELECT value FROM memo WHERE kind = 'base'")]
    there = store.objects.identities() | store.promised.identities()
    seen: set[Digest] = set()
    while pending:
        digest = pending.pop()
        if digest in seen:
            continue
        seen.add(digest)
        try:
            entries = store.trees.load(digest)
        except StoreDamaged:
            continue  # remembered by that
        for entry in entries:
            if entry.kind == DIRECTORY and entry.digest:
                pending.append(entry.digest)
            elif entry.kind == FILE and object_id(entry) not in there:
                store.lost.add(object_id(entry))


def _in_namespace(store: Store, find: Callable[[], list[str]]) -> Sequence[str]:
    """Return what `find` returns in a child that may read the files of all users of an image."""

    from envbuild.linux.forked import call_in_child

    def find_inside() -> list[str]:
        from envbuild.sandbox.user_namespace import enter_user_namespace

        store.owners_observable = enter_user_namespace().kind != "single"
        return find()

    try:
        damaged: list[str] = call_in_child(find_inside)
    except (EnvbuildError, OSError):
        return ()  # the child could not enter the namespace: then every file is checked when it is used
    return damaged
