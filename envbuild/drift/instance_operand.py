"""Instances as operands of a comparison, and the instances of an image."""

from __future__ import annotations

from collections.abc import Sequence

from envbuild.build.named_image import find_image
from envbuild.drift.instance_tree import tree_of
from envbuild.errors import UsageError, WorkFailed, fields
from envbuild.history.operand import Operand, operand_of_image
from envbuild.images.names import kept_tag, locate
from envbuild.images.reference import digits_of, parse_tag
from envbuild.instances.moved_on import moved_on
from envbuild.instances.records import Instance, InstanceDamaged, Instances
from envbuild.record import Record
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.tree.entry import Digest


class InstanceOfImage(Record):
    """An instance, and the name that has moved to another image since it was started ("" if it has not)."""

    instance: Instance
    moved_on: str = ""


@fields
class ImageOfInstanceGone(WorkFailed):
    """An instance whose image was removed from the store, or that runs something else, such as a failed step."""

    instance: Instance
    reference: str

    def text(self) -> tuple[str, str]:
        if self.instance.image:
            message = f"the image of {self.instance.name} ({self.instance.image[:12]}) is no longer in the store"
            hint = f"build the same image again; its name was {self.reference}"
        else:
            message = f"{self.instance.name} was not started from an image"
            hint = "start an instance from an image, and change that"
        return message, hint


def instance_called(store: Store, text: str) -> Instance | None:
    """Return the instance that `text` names where images may be named too: the one with exactly this name or id; or the
    one whose id begins with these four or more digits, if no image has this name. None if there is none. Raises
    UsageError and InstanceDamaged."""
    records = Instances.of(store.path)
    instances = records.all()
    for instance in instances:
        if text in (instance.name, instance.identity):
            return instance
    for damaged in records.damaged():
        if text in (damaged.name, damaged.identity):
            raise InstanceDamaged(damaged)
    if digits_of(text) is None or not any(instance.identity.startswith(text) for instance in instances):
        return None
    try:
        find_image(store, text)
    except UsageError:
        return records.find(text)
    return None


def operand_of_instance(store: Store, instance: Instance, label: str = "") -> Operand:
    """Return the instance as an operand, with the facts of its image. The process must be root of the namespace. Raises
    WorkFailed kinds."""
    image = store.images.get(instance.image)
    if image is None:
        raise ImageOfInstanceGone(instance, store.projects.shown(instance.reference))
    tree = tree_of(store, instance)
    operand = operand_of_image(store, label or instance.name, image)
    return operand if tree == image.tree else operand.replace(tree=tree, image="")


def operand_of_instance_image(store: Store, instance: Instance, image: Image) -> Operand:
    """Return the image that an instance runs, as the operand that the instance is compared with."""
    return operand_of_image(store, instance_image_name(store, instance), image)


def instance_image_name(store: Store, instance: Instance) -> str:
    """Return the name of the image that an instance runs: PROJECT/NAME:TAG or NAME:TAG if that still names it, else its
    digest."""
    tag = kept_tag(instance.reference)
    if tag is None or store.tags.image_of(*tag) != instance.image:
        return f"sha256:{instance.image}"
    full = store.projects.shown(":".join(tag))
    # A name outside of all projects may be hidden here by one of the project.
    parsed = parse_tag(full)
    return full if parsed is not None and locate(store, parsed, ".") == tag else f"sha256:{instance.image}"


def instances_of(store: Store, reference: str | None) -> list[InstanceOfImage]:
    """Return the instances of an image, newest first, running or not; without `reference` all.

    A name includes its earlier images: an instance of one of them belongs to it. Any other form means one image. An
    instance that is called so comes first, whatever it was made from. Raises UsageError kinds and InstanceDamaged if
    nothing has this name.
    """
    instances = Instances.of(store.path).all()
    if reference is None:
        return [InstanceOfImage(i, _moved_on(store, i.reference, i.image)) for i in instances]
    called = instance_called(store, reference)
    if called is None:
        return _instances_of_image(store, reference, instances)
    itself = InstanceOfImage(called, _moved_on(store, called.reference, called.image))
    try:
        others = _instances_of_image(store, reference, instances)
    except UsageError:
        others = []  # no image is called so
    return [itself, *(other for other in others if other.instance.identity != called.identity)]


def _moved_on(store: Store, reference: str, image: Digest) -> str:
    return store.projects.shown(moved_on(store, reference, image))


def _instances_of_image(store: Store, reference: str, instances: Sequence[Instance]) -> list[InstanceOfImage]:
    parsed = parse_tag(reference)
    tag = locate(store, parsed, ".") if parsed is not None and parsed.which is None else None
    if tag is not None and store.tags.length(*tag):
        past: set[Digest | None] = {entry.image for entry in store.tags.history(*tag)}
        chosen = [instance for instance in instances if instance.image in past]
        return [InstanceOfImage(i, _moved_on(store, ":".join(tag), i.image)) for i in chosen]
    image = find_image(store, reference)
    return [InstanceOfImage(instance) for instance in instances if instance.image == image.digest]
