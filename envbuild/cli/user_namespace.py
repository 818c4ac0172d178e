"""Commands that touch files of the store which belong to an image's users run as root of the user namespace."""

from __future__ import annotations

from collections.abc import Callable

from envbuild.store.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    Result = TypeVar("Result")


def enter_for(store: Store) -> None:
    """Enter the user namespace, and tell the store whether owners show."""
    from envbuild.sandbox.user_namespace import enter_user_namespace

    store.owners_observable = enter_user_namespace().kind != "single"


def with_rights(store: Store, work: Callable[[], Result]) -> Result:
    """Do `work` and return its result.

    Where it comes upon a file that its owner keeps to itself, and that owner is a user of an image, it is begun again
    as root of the user namespace: most work needs none, which takes time to enter.
    """
    try:
        return work()
    except PermissionError:
        enter_for(store)
        return work()
