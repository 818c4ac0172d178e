"""The status of recipes: their locks, the images that these name, and the tags."""

from __future__ import annotations

import os

from envbuild.build.lock_status import LockState, lock_state
from envbuild.errors import EnvbuildError
from envbuild.images.lock_attestation import attested_image
from envbuild.images.reference import LATEST
from envbuild.record import Record
from envbuild.store.store import Store


class Status(Record):
    """The status of a recipe. `in_store` says whether this store built and has the image that the lock names, `tag`
    is the tag that should name it, and `tagged` the digest that the tag names. `error` says why the recipe can't be
    read."""

    path: str
    lock: LockState | None
    in_store: bool = False
    tag: str = ""
    tagged: str | None = None
    error: str = ""

    @property
    def well(self) -> bool:
        """Whether there is nothing to do: lock, image and tag match the recipe."""
        return self.lock is not None and self.lock.state == "up to date" and self.in_store and self.at_tag

    @property
    def at_tag(self) -> bool:
        """Whether the tag names the lock's image."""
        lock = self.lock.lock if self.lock is not None else None
        return lock is not None and bool(lock.image) and self.tagged == lock.image


def status_of(path: str, store: Store, epoch: int | None = None) -> Status:
    """Return the status of the recipe at `path`."""
    try:
        state = lock_state(path, store, epoch)
    except EnvbuildError as error:
        return Status(path, None, error=error.message)
    lock = state.lock
    if lock is None:
        return Status(path, state, False, f"{state.recipe}:{LATEST}", store.tags.image_of(state.recipe, LATEST))
    image = attested_image(store, lock)
    in_store = image is not None and store.trees.has(image.tree)
    return Status(path, state, in_store, f"{lock.recipe}:{LATEST}", store.tags.image_of(lock.recipe, LATEST))


def recipes_of_repository(store: Store, folder: str) -> list[str]:
    """Return the recipes of the repository that `folder` lies in, relative to it, sorted: also those that are not
    committed yet, but for files that git ignores."""
    from envbuild.git.repository import Repository
    from envbuild.history.concerned_recipes import RECIPE, Recipes

    repository = Repository(folder)
    root = os.path.realpath(repository.root)
    paths = [path for path in repository.in_working_tree() if path.endswith(RECIPE)]
    here = os.path.realpath(folder)
    return sorted(os.path.relpath(f"{root}/{path}", here) for path in Recipes(store, root, paths).all())
