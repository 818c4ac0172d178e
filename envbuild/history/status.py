"""The status of recipes: their locks, the images that these name, and the tags."""

from __future__ import annotations

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
