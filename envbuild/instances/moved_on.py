"""Instances that run another image than the name that they were started by means now."""

from __future__ import annotations

from envbuild.images.names import kept_tag
from envbuild.instances.records import EXITED, LOST, Instance, Instances
from envbuild.store.store import Store
from envbuild.tree.entry import Digest


def moved_on(store: Store, reference: str, image: Digest) -> str:
    """Return the NAME:TAG of a `reference` on record, as the store keeps it, if it names another image than this one by
    now, else ""."""
    tag = kept_tag(reference)
    now = store.tags.image_of(*tag) if tag is not None else None
    return ":".join(tag) if tag is not None and now is not None and now != image else ""


def left_behind(store: Store, full: str) -> list[Instance]:
    """Return the instances that run, were started by NAME:TAG (as the store keeps it), and have another image than that
    names now."""
    instances = Instances.of(store.path)
    return [
        instance
        for instance in instances.all()
        if moved_on(store, instance.reference, instance.image) == full
        and instances.state(instance).status not in (EXITED, LOST)
    ]
