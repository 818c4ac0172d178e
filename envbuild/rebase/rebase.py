"""An image's changes over its base, put on another base: the merge of image and new base since the old one."""

from __future__ import annotations

from envbuild.build.request import BuildRequest
from envbuild.images.build_steps import REBASE
from envbuild.merge.choices import Choices
from envbuild.merge.merge import MergedImage, merge_images
from envbuild.merge.merged_image import FinishedMerge, finish_merge, step_of, tests_of
from envbuild.plan.image_config import Facts, dump, image_digest
from envbuild.rebase.image_base import ImageBase
from envbuild.rebase.made_base import NewBase
from envbuild.rebase.verification import TestsOf, Verification, verify
from envbuild.record import Record
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.text import json
from envbuild.tree.entry import Digest


class Rebased(Record):
    """What a rebase came to. `finished` is None while there are conflicts, `verification` where nothing was checked."""

    base: ImageBase
    onto: NewBase
    result: MergedImage
    finished: FinishedMerge | None = None
    verification: Verification | None = None

    @property
    def is_good(self) -> bool:
        """Whether there is an image, and nothing against it."""
        return self.finished is not None and (self.verification is None or not self.verification.failures)


def rebase_image(
    store: Store,
    image: Image,
    name: str,
    base: ImageBase,
    onto: NewBase,
    choices: Choices,
    request: BuildRequest,
    *,
    checked: bool,
    keep: bool = True,
) -> Rebased:
    """Put what `image` changed over `base` on `onto`; `name` is what its stage is called. If it is `checked`, its tests
    and the audits run. Without `keep` nothing but conflicts is found out. The process has one thread. Nothing is put on
    record.

    Raises what merging raises.
    """
    before, after = _bare(base.tree, base.facts), _bare(onto.tree, onto.facts)
    result = merge_images(store, before, image, after, choices, keep=keep)
    begun = Rebased(base, onto, result)
    if result.conflicts or not keep:
        return begun
    finished = finish_merge(store, result, name, before, image, after)
    tree = finished.image.tree
    if store.images.get(finished.image.digest) is None:
        detail = _detail(image, name, base, onto, tree)
        finished = finished.replace(image=finished.image.replace(detail=detail))
    begun = begun.replace(finished=finished)
    if not checked:
        return begun
    verification = verify(store, request, tree, result.facts, TestsOf(images=(image,)), (image.tree, onto.tree))
    return begun.replace(verification=verification)


def _bare(tree: Digest, facts: Facts) -> Image:
    return Image(image_digest(tree, facts), tree, dump(facts), "{}", 0.0)


def _detail(image: Image, name: str, base: ImageBase, onto: NewBase, tree: Digest) -> str:
    """Return the detail of a rebased image: it begins with the new base, so that it can be put on the next one, and has
    the texts of the tests."""
    step = step_of(f"rebase of sha256:{image.digest} from {base.name}", REBASE, tree)
    stage = {
        "stage": name,
        "base": onto.text,
        "origin": onto.origin,
        "tree": onto.tree,
        "steps": [step, *tests_of(tree, image)],
    }
    return json.dumps({"stages": [stage]}, sort_keys=True, separators=(",", ":"))
