"""The status of recipes: their locks, the images that these name, and the tags."""

from __future__ import annotations

import os

from envbuild.build.lock_status import OUTDATED, LockState, lock_state
from envbuild.errors import EnvbuildError
from envbuild.images.lock_attestation import attested_image
from envbuild.images.names import place_of
from envbuild.images.reference import LATEST
from envbuild.record import Record
from envbuild.store.store import Store
from envbuild.tree.entry import Digest


class Status(Record):
    """The status of a recipe. `image` is what the recipe gives, or else what a lock names that is out of date; "" if
    that is not known. `in_store` says whether this store built and has it, `tag` is the tag that should name it, and
    `tagged` the digest that the tag names. `error` says why the recipe can't be read."""

    path: str
    lock: LockState | None
    image: Digest = ""
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
        """Whether the tag names the image."""
        return bool(self.image) and self.tagged == self.image


def status_of(path: str, store: Store, epoch: int | None = None) -> Status:
    """Return the status of the recipe at `path`."""
    try:
        state = lock_state(path, store, epoch)
    except EnvbuildError as error:
        return Status(path, None, error=error.message)
    lock = state.lock
    place = place_of(os.path.dirname(os.path.abspath(path)))
    name = place.own(state.recipe if lock is None else lock.recipe), place.branch or LATEST
    digest = state.image
    image = store.images.get(digest) if digest and state.proven else None
    if not digest and lock is not None and state.state == OUTDATED:
        digest, image = lock.image, attested_image(store, lock)
    in_store = image is not None and store.trees.has(image.tree)
    full = store.projects.shown(":".join(name), place.id)
    return Status(path, state, digest, in_store, full, store.tags.image_of(*name))


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
