"""The image of a merge: made with its caches, and on record before a tag names it."""

from __future__ import annotations

import time

from envbuild.images.build_steps import MERGE
from envbuild.merge.cache_makers import remake_caches
from envbuild.merge.merge import MergedImage
from envbuild.plan.image_config import dump, image_digest
from envbuild.record import Record
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.text import json
from envbuild.tree.entry import EMPTY_CONTENT, Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TEST = "test"
"""The kind of a test, among the steps of an image."""


class FinishedMerge(Record):
    """The image that a merge came to, not yet on record and with no tag: who checks it first does so here. `made` are
    the caches that were made anew, `left` those that could not be, with the reasons."""

    image: Image
    made: tuple[str, ...] = ()
    left: tuple[tuple[str, str], ...] = ()


def finish_merge(
    store: Store, result: MergedImage, name: str, base: Image, ours: Image, theirs: Image
) -> FinishedMerge:
    """Return the image of a merge without conflicts, whose tree is in the store: its caches are made anew in sandboxes.
    `name` is what its stage is called. Where it is one of the sides, that side's record is returned."""
    assert not result.conflicts
    tree = result.merged.tree
    remade = remake_caches(store, tree, ours.tree, result.merged.stale, result.facts.epoch)
    digest = image_digest(remade.tree, result.facts)
    known = store.images.get(digest)
    detail = _detail(remade.tree, name, base, ours, theirs)
    image = known or Image(digest, remade.tree, dump(result.facts), detail, time.time())
    return FinishedMerge(image, remade.made, remade.left)


def _detail(tree: Digest, name: str, base: Image, ours: Image, theirs: Image) -> str:
    """Return the detail of an image that no build made: one stage with one step, the merge, and the texts of the tests
    of both sides."""
    text = f"merge of sha256:{theirs.digest} since sha256:{base.digest}"
    stage = {
        "stage": name,
        "base": f"image:sha256:{ours.digest}",
        "origin": f"image sha256:{ours.digest}",
        "tree": ours.tree,
        "steps": [step_of(text, MERGE, tree), *tests_of(tree, ours, theirs)],
    }
    return json.dumps({"stages": [stage]}, sort_keys=True, separators=(",", ":"))


def step_of(text: str, kind: str, tree: Digest) -> dict[str, Any]:
    """Return the record of a step that no build made, and that led to this tree."""
    return {
        "text": text,
        "file": "",
        "line": 0,
        "kind": kind,
        "key": "",
        "tree": tree,
        "output": EMPTY_CONTENT,
        "seconds": 0,
        "owners_kept": True,
    }


def tests_of(tree: Digest, *images: Image) -> list[dict[str, Any]]:
    """Return the records of the tests of images, each text once, as those of an image with this tree."""
    stages = [image.known.get("stages", [])[-1:] for image in images]
    texts = [step["text"] for last in stages for stage in last for step in stage["steps"] if step["kind"] == TEST]
    return [step_of(text, TEST, tree) for text in dict.fromkeys(texts)]
