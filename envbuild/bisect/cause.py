"""Who brought a difference to the bad environment: the statement of a recipe, the line of a lock, the commit."""

from __future__ import annotations

from collections.abc import Iterable

from envbuild.bisect.differences import FactPart, Group, Part, PathPart, PiecePart, StanzaPart
from envbuild.history.blame import moves_from
from envbuild.history.operand import Operand
from envbuild.history.origin import Origin, origin_of_fact, origin_of_package, origin_of_path
from envbuild.images.capture_record import is_capture
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.text.dates import iso
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
    if is_capture(store, image.tree):
        return _capture(store, bad, image, path)
    if group.old or group.new:
        return origin_of_package(store, image, path, group.name, group.new)
    return origin_of_path(store, image, path)


def _capture(store: Store, bad: Operand, image: Image, path: bytes) -> Origin | None:
    """Return the capture in which a path of a machine was first as it is: no statement made it."""
    from envbuild.history.capture_blame import capture_since  # only of captures

    since = capture_since(store, image.tree, path, list(moves_from(store, image, bad.label)))
    if since is None:
        return None
    reason = since.move.known.get("reason", "")
    text = f"{since.move.full}@{{{since.back}}}, a capture of {iso(since.move.moved)}"
    return Origin(f"{text}: {reason}" if reason else text)


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
