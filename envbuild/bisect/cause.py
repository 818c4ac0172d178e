"""Who brought a difference to the bad environment: the statement of a recipe, the line of a lock, the commit."""

from __future__ import annotations

from collections.abc import Iterable

from envbuild.bisect.differences import FactPart, Group, Part, PathPart, PiecePart, StanzaPart
from envbuild.history.operand import Operand
from envbuild.history.origin import Origin, origin_of_fact, origin_of_package, origin_of_path
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.tree.lookup import lookup

BY_HAND = "changed by hand"
"""The text of the origin of what an instance changed in itself."""


def cause_of(store: Store, bad: Operand, image: Image, group: Group, needed: Iterable[Part]) -> Origin | None:
    """Return what brought a group to the bad environment; None if the store does not know that.

    `image` is the environment's, of an instance the one that it runs; `needed` are the parts that break the test.
    """
    fact = next((part for part in group.parts if isinstance(part, FactPart)), None)
    if fact is not None:
        return origin_of_fact(store, image, fact.name)
    path = _path_of(group, needed)
    if path is None:
        return None
    if bad.tree != image.tree:
        now, then = (lookup(store.trees, tree, path, follow=False) for tree in (bad.tree or "", image.tree))
        if now != then:
            return Origin(f"{BY_HAND} in {bad.label}")
    if group.old or group.new:
        return origin_of_package(store, image, path, group.name, group.new)
    return origin_of_path(store, image, path)


def _path_of(group: Group, needed: Iterable[Part]) -> bytes | None:
    """Return a path that the group changed: one that is needed if there is one, else one that is there."""
    paths = {part.path: part.after for part in group.parts if isinstance(part, PathPart)}
    for part in needed:
        if isinstance(part, PathPart | PiecePart) and part.path in paths:
            return part.path
    there = [path for path, after in paths.items() if after is not None]
    if there or paths:
        return (there or list(paths))[0]
    records = [part.package.partition(":")[0] for part in group.parts if isinstance(part, StanzaPart)]
    return f"var/lib/dpkg/info/{records[0]}.list".encode() if records else None
