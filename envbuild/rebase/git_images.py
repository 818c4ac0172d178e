"""The images whose changes a merge of git brings together: what each recipe that both sides changed gives in their
common ancestor and on both sides."""

from __future__ import annotations

import os

from envbuild.build.lock_status import image_in_commit
from envbuild.errors import UsageError, fields
from envbuild.git.merge_in_progress import GitMerge
from envbuild.git.repository import Repository
from envbuild.history.concerned_recipes import RECIPE, Recipes
from envbuild.record import Record
from envbuild.store.images import Image
from envbuild.store.store import Store

_MAX_REASON = 200


class Side(Record):
    """What a recipe gives in a commit: its image, or why that is not here. `who` is base, ours or theirs."""

    who: str
    commit: str
    image: Image | None
    reason: str = ""


class RecipeSides(Record):
    """A recipe that a merge concerns: its path in the repository, and its sides."""

    path: str
    base: Side
    ours: Side
    theirs: Side

    @property
    def missing(self) -> list[Side]:
        """The sides whose images are not here."""
        return [side for side in (self.base, self.ours, self.theirs) if side.image is None]


@fields
class NothingToMerge(UsageError):
    """A merge that changes no environment on both sides."""

    kind: str

    def text(self) -> tuple[str, str]:
        return (
            f"the {self.kind} concerns no recipe on both sides",
            "the image of a recipe that one side alone changed is that side's: envbuild build makes its tag name it",
        )


def sides_of_merge(store: Store, repository: Repository, merge: GitMerge) -> list[RecipeSides]:
    """Return the recipes that both sides of a merge changed, each with its images.

    A recipe is concerned by its file and lock, and by all that it takes of its folder. Raises NothingToMerge.
    """
    root = os.path.realpath(repository.root)
    paths = [path for path in repository.in_working_tree() if path.endswith(RECIPE)]
    recipes = Recipes(store, root, paths)
    changed = [frozenset(repository.changed(merge.base, side)) for side in (merge.ours, merge.theirs)]
    both = [frozenset(recipes.concerned(files)) for files in changed]
    sides = [_sides(store, repository, merge, path) for path in sorted(both[0] & both[1])]
    if not sides:
        raise NothingToMerge(merge.kind)
    return sides


def _sides(store: Store, repository: Repository, merge: GitMerge, path: str) -> RecipeSides:
    named = (("base", merge.base), ("ours", merge.ours), ("theirs", merge.theirs))
    return RecipeSides(path, *(_side(store, repository.root, who, commit, path) for who, commit in named))


def _side(store: Store, root: str, who: str, commit: str, path: str) -> Side:
    in_commit = image_in_commit(store, root, commit, path)
    image = store.images.get(in_commit.image) if in_commit.image else None
    if image is None or not store.trees.has(image.tree):
        return Side(who, commit, None, (in_commit.reason if not in_commit.image else "it is not in this store"))
    if not in_commit.proven:
        return Side(who, commit, None, "its steps did not give that here")
    return Side(who, commit, image)
