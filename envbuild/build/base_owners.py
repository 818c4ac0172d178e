"""Bases whose files lost their owners, because they were made where those did not show."""

from __future__ import annotations

from envbuild.errors import WorkFailed, fields
from envbuild.language.base_kinds import Base, Debian, Host
from envbuild.store.store import Store
from envbuild.tree.entry import Digest

NOBODY = 65534
"""What a user namespace shows for owners that it does not have (user_namespaces(7), /proc/sys/kernel/overflowuid)."""


@fields
class OwnersLost(WorkFailed):
    """All of a base that is a system belongs to nobody: it was made where the owners of its files did not show."""

    base: str
    locked: bool

    def text(self) -> tuple[str, str]:
        hint = "renew it in the lock: envbuild update RECIPE" if self.locked else "run the same command again"
        return f"{self.base}: all files of this base belong to nobody (uid {NOBODY}), so it was not made right", hint


def belongs_to_nobody(store: Store, base: Base, tree: Digest) -> bool:
    """Return whether a tree is none that a Debian or this machine can have given: /usr or another has no owner."""
    if not isinstance(base, (Host, Debian)):
        return False
    return any(entry.uid == NOBODY for entry in store.trees.load(tree))
