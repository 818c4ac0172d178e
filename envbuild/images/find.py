"""Whatever may stand where an image is named: what the store knows, and what git knows of locks."""

from __future__ import annotations

from collections.abc import Callable

from envbuild.errors import UsageError
from envbuild.store.image_reference import BadName, digits_of, split_name
from envbuild.store.images import Image
from envbuild.store.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.git.lock_at_revision import LockedRecipe

GIT = "git:"
Fits = Callable[[Store, str, str, str], str]
"""Why a lock is not what its recipe gives, "" if it is; of a folder of the repository, a commit, and the recipe's path
in it."""


class NotBuiltHere(UsageError):
    """A lock names an image that the store doesn't have."""

    def __init__(self, reference: str, digest: str, path: str, revision: str) -> None:
        super().__init__(
            f"{reference} is image {digest[:12]}, which is not in this store",
            f"build it as it was: git worktree add ../{revision.replace('/', '-')} {revision}, "
            f"and there: envbuild build --locked {path}",
        )


class NotAsBuilt(UsageError):
    """A lock names an image of the store that is not known to be what the lock's recipe gives."""

    def __init__(self, reference: str, digest: str, path: str, revision: str, reason: str) -> None:
        super().__init__(
            f"{reference} names image {digest[:12]}, which is not known to be that of the recipe: {reason}",
            f"name the image itself, or build the recipe: git worktree add ../{revision.replace('/', '-')} {revision}, "
            f"and there: envbuild build --locked {path}",
        )


class OtherDigest(UsageError):
    """`NAME@sha256:...` where the name is another image's."""

    def __init__(self, reference: str, name: str, found: str) -> None:
        super().__init__(f"{reference}: {name} is {found[:12]}", "leave out the name, or the digest")


def look_up(store: Store, reference: str, folder: str, fits: Fits) -> Image:
    """The image that a user means by `NAME`, `NAME:TAG`, `NAME@{N}`, `NAME@{DATE}`, a digest or the beginning of one,
    `NAME@REV` and `git:REV:FILE`. The last two are those of the lock in that revision of git; `folder` says in which
    repository, and what FILE is relative to, and `fits` why a lock there is not its recipe's.

    Raises UsageError kinds that say what is missing.
    """
    if reference.startswith(GIT):
        from envbuild.git.lock_at_revision import locked_at, split_git  # git and yaml: only where asked for

        parts = split_git(reference)
        assert parts is not None
        return _built(store, reference, locked_at(folder, *parts), parts[0], folder, fits)
    name, mark, which = reference.partition("@")
    if not mark or which.startswith("{"):
        return store.images.resolve(reference)
    if which.startswith("sha256:") and digits_of(which) is not None:
        image = store.images.resolve(which)
        tagged = store.tags.image_of(*split_name(name)) if name else None
        if tagged is not None and tagged != image.digest:
            raise OtherDigest(reference, name, tagged)
        return image
    if ":" in name:
        raise BadName(reference)
    from envbuild.git.lock_at_revision import locked_by_name

    return _built(store, reference, locked_by_name(folder, which, split_name(name)[0]), which, folder, fits)


def _built(store: Store, reference: str, found: LockedRecipe, revision: str, folder: str, fits: Fits) -> Image:
    """The image of a lock in a revision. That the store has an image does not make it this recipe's: it has to be what
    the lock's steps gave here, and these have to be the recipe's."""
    lock = found.lock
    if store.images.get(lock.image) is None:
        raise NotBuiltHere(reference, lock.image, found.path, revision)
    from envbuild.images.lock_attestation import attested_image, kept_recipe  # only for locks in git

    image = attested_image(store, lock)
    if image is None:
        raise NotAsBuilt(reference, lock.image, found.path, revision, "its steps did not give that here")
    kept = kept_recipe(store, image)
    if not kept or kept[0][1] != found.recipe:
        # The recipe was written anew since, or another one gives the same image.
        reason = fits(store, folder, found.commit, found.path)
        if reason:
            raise NotAsBuilt(reference, lock.image, found.path, revision, reason)
    return image
