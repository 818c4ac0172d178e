"""The home that a command finds in $HOME: what the tree's own /etc/passwd says of its user."""

from __future__ import annotations

from envbuild.images.accounts import MAX_BYTES, AccountsTooLarge, home_of
from envbuild.store.store import Store
from envbuild.tree.entry import FILE, Digest
from envbuild.tree.lookup import lookup


class Homes:
    """Homes in the trees of one store; one /etc/passwd is read once, in however many trees it is."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[tuple[Digest, str], str] = {}

    def of(self, tree: Digest, user: str) -> str:
        """The home of `user` ("" for root, NAME, NAME:GROUP or a number) in a tree; `/` where it doesn't say. Raises
        AccountsTooLarge."""
        passwd = lookup(self._store.trees, tree, b"etc/passwd")
        if passwd is None or passwd.kind != FILE:
            return home_of(user, None)
        found = self._known.get((passwd.digest, user))
        if found is None:
            if passwd.size > MAX_BYTES:
                raise AccountsTooLarge("etc/passwd", passwd.size)
            found = home_of(user, self._store.objects.read(passwd).decode("utf-8", "surrogateescape"))
            self._known[passwd.digest, user] = found
        return found
