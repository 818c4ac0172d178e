"""Commands that touch files of the store which belong to an image's users run as root of the user namespace."""

from __future__ import annotations

from envbuild.store.store import Store


def enter_for(store: Store) -> None:
    """Enters the user namespace, and tells the store whether owners show."""
    from envbuild.sandbox.ids import enter_user_namespace

    store.owners_observable = enter_user_namespace().kind != "single"
