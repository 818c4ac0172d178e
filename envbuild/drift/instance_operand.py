"""Instances as sides of a comparison, and which instances are of an image."""

from __future__ import annotations

from envbuild.build.named_image import find_image
from envbuild.drift.instance_tree import tree_of
from envbuild.errors import UsageError, WorkFailed
from envbuild.history.operand import Side, side_of_image
from envbuild.instances.records import Instance, InstanceDamaged, Instances
from envbuild.record import Record
from envbuild.store.image_reference import digits_of, parse_reference
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.tree.entry import Digest


class Belonging(Record):
    """An instance, and the name whose image has moved on since it was started ("" where it has not)."""

    instance: Instance
    moved_on: str = ""


class ImageOfInstanceGone(WorkFailed):
    """The image that an instance runs was removed from the store, or it runs what is none, such as a failed step."""

    def __init__(self, instance: Instance) -> None:
        if instance.image:
            message = f"the image of {instance.name} ({instance.image[:12]}) is no longer in the store"
            hint = f"build it again as it was; it was called {instance.reference}"
        else:
            message, hint = f"{instance.name} is of no image", "start one from an image, and change that"
        super().__init__(message, hint)


def instance_called(store: Store, text: str) -> Instance | None:
    """The instance that `text` means where an image may stand, too: one of exactly this name or id; or one whose id
    begins so, with at least four digits, where no image is called so. None if there is none. Raises UsageError and
    InstanceDamaged."""
    instances = Instances.of(store.path)
    everything = instances.all()
    for one in everything:
        if text in (one.name, one.identity):
            return one
    for damaged in instances.damaged():
        if text in (damaged.name, damaged.identity):
            raise InstanceDamaged(damaged)
    if digits_of(text) is None or not any(one.identity.startswith(text) for one in everything):
        return None
    try:
        find_image(store, text)
    except UsageError:
        return instances.find(text)
    return None


def side_of_instance(store: Store, instance: Instance, label: str = "") -> Side:
    """The instance as a side of a comparison, with the facts of its image. The process has to be root of the namespace.
    Raises WorkFailed kinds."""
    image = store.images.get(instance.image)
    if image is None:
        raise ImageOfInstanceGone(instance)
    tree = tree_of(store, instance)
    side = side_of_image(store, label or instance.name, image)
    return side if tree == image.tree else side.replace(tree=tree, image="")


def side_before(store: Store, instance: Instance, image: Image) -> Side:
    """The image that an instance runs, as the side that it is compared with."""
    return side_of_image(store, before_name(store, instance), image)


def before_name(store: Store, instance: Instance) -> str:
    """What the image that an instance runs is called: NAME:TAG if that still names it, else its digest."""
    parsed = parse_reference(instance.reference)
    if parsed is None or parsed.which is not None:
        return f"sha256:{instance.image}"
    named = store.tags.image_of(parsed.name, parsed.tag)
    return f"{parsed.name}:{parsed.tag}" if named == instance.image else f"sha256:{instance.image}"


def instances_of(store: Store, reference: str | None) -> list[Belonging]:
    """The instances of an image, the newest first, running or over; without `reference` all.

    A name means what it names now and what it has named: an instance of an earlier image belongs to it. Any other form
    means one image. Raises UsageError kinds where nothing is called so.
    """
    everything = Instances.of(store.path).all()
    if reference is None:
        return [Belonging(one, _moved_on(store, one.reference, one.image)) for one in everything]
    parsed = parse_reference(reference)
    if parsed is not None and parsed.which is None and store.tags.length(parsed.name, parsed.tag):
        past: set[Digest | None] = {entry.image for entry in store.tags.history(parsed.name, parsed.tag)}
        chosen = [one for one in everything if one.image in past]
        return [Belonging(one, _moved_on(store, reference, one.image)) for one in chosen]
    image = find_image(store, reference)
    return [Belonging(one) for one in everything if one.image == image.digest]


def _moved_on(store: Store, reference: str, image: Digest) -> str:
    """The NAME:TAG that `reference` is, if it names another image than this by now."""
    parsed = parse_reference(reference)
    if parsed is None or parsed.which is not None:
        return ""
    now = store.tags.image_of(parsed.name, parsed.tag)
    return f"{parsed.name}:{parsed.tag}" if now is not None and now != image else ""
