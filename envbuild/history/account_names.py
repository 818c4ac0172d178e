"""The owners of two trees by their names: Debian numbers system accounts in the order of installation."""

from __future__ import annotations

from envbuild.store.store import Store
from envbuild.tree.entry import Digest, Entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class AccountNames:
    """The system accounts of two trees, read when they are first asked for."""

    def __init__(self, store: Store, trees: tuple[Digest, Digest]) -> None:
        self._store = store
        self._trees = trees
        self._sides: list[tuple[Mapping[int, str], Mapping[int, str]]] = []

    def same_owner(self, before: Entry, after: Entry) -> bool:
        """Return whether an entry of the first tree has the same user and group as one of the second.

        Numbers that differ are the same account if both are of system accounts with one name. Root is only 0, and
        ordinary users are their numbers.
        """
        if (before.uid, before.gid) == (after.uid, after.gid):
            return True
        if not self._sides:
            self._sides = [self._names(tree) for tree in self._trees]
        pairs = zip(((before.uid, before.gid), (after.uid, after.gid)), self._sides, strict=True)
        old, new = ((users.get(uid, uid), teams.get(gid, gid)) for (uid, gid), (users, teams) in pairs)
        return old == new

    def _names(self, tree: Digest) -> tuple[Mapping[int, str], Mapping[int, str]]:
        from envbuild.images.accounts import AccountsTooLarge, account_text, accounts, groups  # few images differ so

        try:
            passwd, group = (account_text(self._store, tree, name) for name in ("passwd", "group"))
        except AccountsTooLarge:
            return {}, {}
        users: dict[int, str] = {}
        for account in accounts(passwd):
            users.setdefault(account.uid, account.name)
        teams: dict[int, str] = {}
        for name, gid in groups(group).items():
            teams.setdefault(gid, name)
        return _system(users), _system(teams)


FIRST_USER = 1000
"""Where ordinary users begin (Debian policy 9.2.2)."""


def _system(names: Mapping[int, str]) -> Mapping[int, str]:
    return {number: name for number, name in names.items() if 0 < number < FIRST_USER}
