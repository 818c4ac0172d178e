"""The base that an image was built on, and how that is known.

The layers of an image of other tools prove it; of an image that was built in this store its record does. All else is
the word of whoever made the image: it is held against the files, and told. What it decides is which of two contents
counts as changed, so a lie can keep an old file of the image, or take away what the new base added; no content comes
from a base that was lied about.
"""

from __future__ import annotations

from envbuild.build.image_files import image_of_origin
from envbuild.errors import UsageError, fields
from envbuild.images.build_steps import MERGE as MERGE_STEP
from envbuild.images.find import facts_of
from envbuild.images.lock_attestation import is_base
from envbuild.plan.image_config import Facts
from envbuild.record import Record
from envbuild.sharing.base_record import base_by_layers, image_said, said_base
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.store.tags import BUILD, COMMIT, MERGE, REBASE
from envbuild.tree.diff import diff
from envbuild.tree.entry import DIRECTORY, Digest
from envbuild.tree.lookup import walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

GIVEN, LAYERS, BUILT, SAID = "given", "layers", "built here", "said"
_IMAGES = ("image:", "recipe:", "registry:", "oci:", "capture:")
"""How the texts of bases begin that are images and bring facts along."""
_MADE_HERE = (BUILD, COMMIT, MERGE, REBASE)
MAX_MERGES = 64
"""Merges on the way from an image to one that was built."""
MIN_SHARE = 0.5
"""Less of a base than this in the image, as it was, is taken for a mistake or a lie."""


class ImageBase(Record):
    """What an image was built on: its tree and facts, what it is called, and how that is known: GIVEN by the user,
    LAYERS that are those of this base, BUILT in this store, or SAID by the image itself. `kept` is the share of the
    base's files that the image has as they were."""

    tree: Digest
    facts: Facts
    name: str
    known_by: str
    kept: float = 1.0

    @property
    def is_proven(self) -> bool:
        """Whether it is more than the word of whoever made the image."""
        return self.known_by != SAID


@fields
class BaseUnknown(UsageError):
    """Nothing says what an image was built on."""

    reference: str
    said: str = ""

    def text(self) -> tuple[str, str]:
        if self.said:
            return (
                f"{self.reference} says that it was built on {self.said}, which is not in this store",
                "envbuild pull it, and name it: --base NAME",
            )
        return (
            f"what {self.reference} was built on is not known: it came as files, without its steps",
            "name it: --base IMAGE; of images with the same first layers, pull the one that it was built on",
        )


@fields
class UnlikeBase(UsageError):
    """What an image says is its base has little in common with it."""

    reference: str
    name: str
    share: float

    def text(self) -> tuple[str, str]:
        return (
            f"{self.reference} says that it was built on {self.name}, and has {self.share:.0%} of that as it was",
            "if it is true all the same: --base IMAGE",
        )


def base_of(store: Store, image: Image, reference: str, given: Image | None = None) -> ImageBase:
    """Return what an image was built on; `reference` is what the user calls it, and `given` the base that he names.

    Raises BaseUnknown and UnlikeBase.
    """
    if given is not None:
        return _with_share(store, image, ImageBase(given.tree, facts_of(given), _called(store, given), GIVEN))
    recorded = _of_record(store, image)
    below = base_by_layers(store, image)
    if below is not None and (recorded is None or not recorded.is_proven):
        recorded = ImageBase(below.tree, facts_of(below), _called(store, below), LAYERS)
    said = said_base(store, image, facts_of(image).labels)
    if recorded is None and said is not None:
        below = image_said(store, said)
        if below is not None:
            recorded = ImageBase(below.tree, facts_of(below), said.name or said.digest, SAID)
    if recorded is None:
        words = f"{said.name} {said.digest}".strip() if said is not None else _said_by_record(image)
        raise BaseUnknown(reference, words)
    base = _with_share(store, image, recorded)
    if not base.is_proven and base.kept < MIN_SHARE:
        raise UnlikeBase(reference, base.name, base.kept)
    return base


def _of_record(store: Store, image: Image) -> ImageBase | None:
    """Return the base by the record of the image's build, which came along with it if it was pulled; None where that
    has none, or the store has not its tree."""
    stage = _lowest_stage(image)
    for _ in range(MAX_MERGES):
        if stage is None or not _is_merge(stage):
            break
        # What was merged into an image is what it is made of: its base is that of the side that it began with.
        below = image_of_origin(store, stage["origin"])
        stage = _lowest_stage(below) if below is not None else None
    if stage is None or (not stage["steps"] and stage["base"].startswith("import ")):
        return None
    text, tree = stage["base"], stage["tree"]
    if not store.trees.has(tree):
        return None
    facts = facts_of(image)
    below = image_of_origin(store, stage["origin"])
    if (below is None or below.tree != tree) and text.startswith(_IMAGES):
        below = store.images.of_tree(tree)
    base = facts_of(below) if below is not None and below.tree == tree else Facts(facts.arch, facts.epoch)
    here = any(move.action in _MADE_HERE for move in store.tags.moves_to(image.digest))
    proven = here and (below is not None or is_base(store, text, tree))
    return ImageBase(tree, base, text, BUILT if proven else SAID)


def _lowest_stage(image: Image) -> dict[str, Any] | None:
    """Return the stage that the image's own began with, by way of the stages that it says it starts from."""
    stages = image.known.get("stages", [])
    if not stages:
        return None
    by_name = {stage["stage"]: stage for stage in stages}
    stage: dict[str, Any] = stages[-1]
    for _ in stages:
        if stage["base"] not in by_name or by_name[stage["base"]] is stage:
            break
        stage = by_name[stage["base"]]
    return stage


def _is_merge(stage: dict[str, Any]) -> bool:
    return any(step["kind"] == MERGE_STEP for step in stage["steps"][:1])


def _said_by_record(image: Image) -> str:
    stage = _lowest_stage(image)
    return "" if stage is None or stage["base"].startswith("import ") else str(stage["base"])


def _called(store: Store, image: Image) -> str:
    tags = store.tags.all(image.digest)
    return store.projects.shown(tags[0].full) if tags else image.digest[:12]


def _with_share(store: Store, image: Image, base: ImageBase) -> ImageBase:
    files = sum(entry.kind != DIRECTORY for _, entry in walk(store.trees, base.tree))
    other = 0
    for change in diff(store.trees, base.tree, image.tree):
        before = change.before
        if before is None:
            continue
        if before.kind != DIRECTORY:
            other += 1
        elif change.after is None or change.after.kind != DIRECTORY:
            other += sum(entry.kind != DIRECTORY for _, entry in walk(store.trees, before.digest))
    return base.replace(kept=(files - other) / files if files else 1.0)
