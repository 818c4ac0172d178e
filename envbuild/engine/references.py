"""Whatever may stand where an image is named: what the store knows, and what git knows of locks."""

from __future__ import annotations

from envbuild.errors import UsageError
from envbuild.store.images import Image
from envbuild.store.reference import BadName, digits_of, split_name
from envbuild.store.store import Store

GIT = "git:"


class NotBuiltHere(UsageError):
    """A lock names an image that the store doesn't have."""

    def __init__(self, reference: str, digest: str, path: str, revision: str) -> None:
        super().__init__(
            f"{reference} is image {digest[:12]}, which is not in this store",
            f"build it as it was: git worktree add ../{revision.replace('/', '-')} {revision}, "
            f"and there: envbuild build --locked {path}",
        )


class OtherDigest(UsageError):
    """`NAME@sha256:...` where the name is another image's."""

    def __init__(self, reference: str, name: str, found: str) -> None:
        super().__init__(f"{reference}: {name} is {found[:12]}", "leave out the name, or the digest")


def find_image(store: Store, reference: str, folder: str = ".") -> Image:
    """The image that a user means by `NAME`, `NAME:TAG`, `NAME@{N}`, `NAME@{DATE}`, a digest or the beginning of one,
    `NAME@REV` and `git:REV:FILE`. The last two are those of the lock in that revision of git; `folder` says in which
    repository, and what FILE is relative to.

    Raises UsageError kinds that say what is missing.
    """
    if reference.startswith(GIT):
        from envbuild.git.locked_image import locked_at, split_git  # git and yaml: only where asked for

        parts = split_git(reference)
        assert parts is not None
        found = locked_at(folder, *parts)
        return _built(store, reference, found.lock.image, found.path, parts[0])
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
    from envbuild.git.locked_image import locked_by_name

    found = locked_by_name(folder, which, split_name(name)[0])
    return _built(store, reference, found.lock.image, found.path, which)


def _built(store: Store, reference: str, digest: str, path: str, revision: str) -> Image:
    image = store.images.get(digest)
    if image is None:
        raise NotBuiltHere(reference, digest, path, revision)
    return image
