"""The merge of the images that git's merge brings together, recipe by recipe: what each comes to before its recipe is
built."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence

from envbuild.build.request import BuildRequest
from envbuild.lockfile.lock import path_of
from envbuild.merge.choices import Choices, NoSuchConflict
from envbuild.merge.merge import MergedImage, merge_images
from envbuild.merge.merged_image import FinishedMerge, finish_merge
from envbuild.rebase.git_images import RecipeSides
from envbuild.rebase.verification import TestsOf, Verification, verify
from envbuild.record import Record
from envbuild.store.images import Image
from envbuild.store.store import Store


class RecipeMerge(Record):
    """What the images of a recipe came to. `result` is None where a side's image is not here, `finished` while there
    are conflicts, and `verification` where nothing was checked. `unmerged` are those of recipe and lock that git left
    to the user; `unused` are the choices that decide nothing here."""

    sides: RecipeSides
    unmerged: tuple[str, ...]
    result: MergedImage | None = None
    finished: FinishedMerge | None = None
    verification: Verification | None = None
    unused: tuple[NoSuchConflict, ...] = ()

    @property
    def name(self) -> str:
        """The name of the recipe."""
        return os.path.basename(self.sides.path).removesuffix(".env")

    @property
    def is_good(self) -> bool:
        """Whether there is an image, and nothing against it."""
        return self.finished is not None and (self.verification is None or not self.verification.failures)


def merge_recipe(
    store: Store,
    root: str,
    sides: RecipeSides,
    unmerged: Collection[str],
    choices: Choices,
    request: BuildRequest,
    *,
    checked: bool,
) -> RecipeMerge:
    """Merge the images of a recipe of the repository at `root`. If it is `checked`, the tests of the merged recipe run,
    or of both sides' while that has conflicts, and the audits. The process has one thread. Nothing is put on record.

    Raises what merging raises.
    """
    conflicting = tuple(path for path in (sides.path, path_of(sides.path)) if path in unmerged)
    begun = RecipeMerge(sides, conflicting)
    base, ours, theirs = sides.base.image, sides.ours.image, sides.theirs.image
    if base is None or ours is None or theirs is None:
        return begun
    result, unused = _merged(store, base, ours, theirs, choices)
    begun = begun.replace(result=result, unused=unused)
    if result.conflicts:
        return begun
    finished = finish_merge(store, result, begun.name, base, ours, theirs)
    begun = begun.replace(finished=finished)
    if not checked:
        return begun
    tests = TestsOf(images=(ours, theirs)) if conflicting else TestsOf(f"{root}/{sides.path}")
    before = (ours.tree, theirs.tree)
    return begun.replace(verification=verify(store, request, finished.image.tree, result.facts, tests, before))


def _merged(
    store: Store, base: Image, ours: Image, theirs: Image, choices: Choices
) -> tuple[MergedImage, tuple[NoSuchConflict, ...]]:
    """Merge images with those choices that decide something: the others may be meant for another recipe."""
    unused: list[NoSuchConflict] = []
    while True:
        try:
            return merge_images(store, base, ours, theirs, choices), tuple(unused)
        except NoSuchConflict as error:
            if error.name not in (*choices.ours, *choices.theirs):
                raise
            unused.append(error)
            left = [tuple(name for name in side if name != error.name) for side in (choices.ours, choices.theirs)]
            choices = choices.replace(ours=left[0], theirs=left[1])


def refuse_unused(merged: Sequence[RecipeMerge]) -> None:
    """Raise NoSuchConflict for a choice that decides nothing in any recipe."""
    sides = [{error.name: error for error in recipe.unused} for recipe in merged if recipe.result is not None]
    for name, error in sides[0].items() if sides else ():
        if all(name in side for side in sides):
            raise error
