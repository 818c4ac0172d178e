"""The base `capture:`: a machine's files as they were captured. A machine is captured each hour, so the lock pins the
capture that was meant, and `envbuild update` takes the newest."""

from __future__ import annotations

from envbuild.build.progress import BaseTree
from envbuild.errors import WorkFailed, fields
from envbuild.images.capture_record import capture_facts, is_capture
from envbuild.images.find import facts_of, past_image, resolve
from envbuild.images.lock_attestation import is_base, remember_base
from envbuild.images.reference import LATEST, parse_tag
from envbuild.linux.machine import architecture
from envbuild.lockfile.lock import LockedStage
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.tree.entry import Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.sharing.image_trust import Trust


@fields
class NotACapture(WorkFailed):
    """A name that is an image, and no captured machine."""

    reference: str

    def text(self) -> tuple[str, str]:
        return (
            f"capture:{self.reference} is an image that is no capture of a machine",
            f"name it as what it is: from image:{self.reference}",
        )


@fields
class CaptureNotHere(WorkFailed):
    """A capture that a lock pins, and that the store does not have, or not under this name."""

    reference: str
    tree: Digest

    def text(self) -> tuple[str, str]:
        return (
            f"capture:{self.reference}: the lock pins another one than this store has (tree {self.tree[:12]})",
            "get it from a store that has it (envbuild push, or export), or take the newest: envbuild update RECIPE",
        )


def captured_base(store: Store, base: str, reference: str, locked: LockedStage | None, trust: Trust | None) -> BaseTree:
    """Return the capture that a lock pins for the base of this text, or else the one that the name means now. Raises
    CaptureNotHere, and what `captured_image` raises."""
    if locked is not None:
        check_pin(store, base, reference, locked)
        return BaseTree(locked.digest, capture_facts(architecture(), locked.epoch), locked.origin)
    image = captured_image(store, reference, trust)
    remember_base(store, base, image.tree)
    return BaseTree(image.tree, facts_of(image), f"image sha256:{image.digest}")


def captured_image(store: Store, reference: str, trust: Trust | None) -> Image:
    """Return the capture that a name means now, outside of all projects. Raises NoSuchImage and its like, NotACapture,
    and Untrusted."""
    tag = parse_tag(reference)
    assert tag is not None, "the language refuses others"
    image = past_image(store, (tag.name, LATEST), tag.which) if tag.which is not None else _latest(store, tag.name)
    if not is_capture(store, image.tree):
        raise NotACapture(reference)
    if trust is not None:
        from envbuild.sharing.image_trust import AS_BASE

        trust.check_image(store, image, f"capture:{reference}", AS_BASE)
    return image


def check_pin(store: Store, base: str, reference: str, locked: LockedStage) -> None:
    """Raise CaptureNotHere if a lock pins what this store does not know as a capture of this name: a lock is text that
    anybody may have written, and could name any tree of the store."""
    name = reference.partition("@")[0]
    tree = locked.digest
    if store.trees.has(tree) and is_capture(store, tree):
        if is_base(store, base, tree):
            return
        entries = store.tags.history(name, LATEST)
        images = (store.images.get(entry.image) for entry in entries if entry.image is not None)
        if any(image is not None and image.tree == tree for image in images):
            return
    raise CaptureNotHere(reference, tree)


def _latest(store: Store, name: str) -> Image:
    tagged = store.tags.image_of(name, LATEST)
    image = store.images.get(tagged) if tagged is not None else None
    return image if image is not None else resolve(store, name, "/")
