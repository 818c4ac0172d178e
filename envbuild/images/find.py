"""The image that a reference names: from what the store knows, or from what git knows of locks."""

from __future__ import annotations

import os
import time
from _collections_abc import Callable  # what collections.abc has, without collections

from envbuild.errors import UsageError, fields
from envbuild.images.names import Name, in_other_projects, locate, place_of, repository_of
from envbuild.images.reference import (
    FileReference,
    PinnedReference,
    RevisionReference,
    StoreReference,
    TagReference,
    digits_of,
    parse,
    parse_tag,
)
from envbuild.record import Pairs, Record, assert_never
from envbuild.store.database import NOT_ITSELF, PartDamaged
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.store.tags import NoSuchEntry, in_projects
from envbuild.tree.entry import Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.git.lock_at_revision import LockedRecipe
    from envbuild.plan.image_config import Facts


class InCommit(Record):
    """What a recipe gives in a commit: the digest of its image, "" if that is not known, and then the `reason`. It is
    `proven` if the steps gave that in this store, else it is the word of the commit's lock."""

    image: Digest
    proven: bool
    reason: str


Fits = Callable[[Store, str, str, str], InCommit]
"""Returns what a recipe gives in a commit. It is given a folder of the repository, a commit, and the path of the recipe
in it."""


@fields
class NoSuchImage(UsageError):
    """No image has this name or digest. `recipe` is the file in the directory that would make one of this name."""

    reference: str
    near: str | None
    any_image: bool
    elsewhere: Pairs = ()
    recipe: str = ""

    def text(self) -> tuple[str, str]:
        hint = f"did you mean '{self.near}'?" if self.near else "`envbuild images` lists what there is"
        if self.recipe:
            return f"there is no image '{self.reference}'", f"its recipe makes it: envbuild build {self.recipe}"
        if self.elsewhere:
            return f"there is no image '{self.reference}'", in_projects(self.elsewhere)
        from envbuild.text.docker_words import hint_for_image  # only on a mistake

        if docker := hint_for_image(self.reference):
            return f"there is no image '{self.reference}'", docker
        return (
            f"there is no image '{self.reference}'",
            hint if self.any_image else "make one first: envbuild build RECIPE.env",
        )


@fields
class ImageGone(UsageError):
    """History names an image that `gc` has removed."""

    reference: str
    digest: Digest

    def text(self) -> tuple[str, str]:
        return (
            f"{self.reference} was {self.digest[:12]}, which is no longer in the store",
            "check the recipe and its lock out as they were (envbuild log has the commit), and build them",
        )


@fields
class AmbiguousDigest(UsageError):
    """A digest was shortened to something that fits several images."""

    reference: str
    matches: list[str]

    def text(self) -> tuple[str, str]:
        return (
            f"'{self.reference}' fits {len(self.matches)} images",
            "give more digits: " + ", ".join(m[:16] for m in self.matches[:5]),
        )


@fields
class NotBuiltHere(UsageError):
    """A lock names an image that the store doesn't have."""

    reference: str
    digest: str
    path: str
    revision: str

    def text(self) -> tuple[str, str]:
        return (
            f"{self.reference} is image {self.digest[:12]}, which is not in this store"
            if self.digest
            else f"{self.reference}: which image that is, is not known until a build",
            f"build it as it was: git worktree add ../{self.revision.replace('/', '-')} {self.revision}, "
            f"and there: envbuild build --locked {self.path}",
        )


@fields
class NotAsBuilt(UsageError):
    """A lock names an image of the store that is not known to be what the lock's recipe gives."""

    reference: str
    digest: str
    path: str
    revision: str
    reason: str

    def text(self) -> tuple[str, str]:
        return (
            f"{self.reference} names image {self.digest[:12]}, which is not known to be that of the recipe: "
            f"{self.reason}",
            f"name the image itself, or build the recipe: git worktree add ../{self.revision.replace('/', '-')} "
            f"{self.revision}, and there: envbuild build --locked {self.path}",
        )


@fields
class OtherDigest(UsageError):
    """`NAME@sha256:...` where the name is another image's."""

    reference: str
    name: str
    actual: str

    def text(self) -> tuple[str, str]:
        return f"{self.reference}: {self.name} is {self.actual[:12]}", "leave out the name, or the digest"


def look_up(store: Store, reference: str, folder: str, fits: Fits) -> Image:
    """Return the image that a reference names (reference.py) in `folder`. For the lock of a revision of git, `folder`
    says in which repository it is, and what FILE is relative to; and `fits` what its recipe gives there.

    Raises UsageError kinds that say what is missing.
    """
    match parse(reference):
        case StoreReference():
            return resolve(store, reference, folder)
        case PinnedReference(tag=tag, digits=digits):
            image = resolve(store, f"sha256:{digits}", folder)
            tagged = store.tags.image_of(*locate(store, tag, folder)) if tag is not None else None
            if tagged is not None and tagged != image.digest:
                raise OtherDigest(reference, reference.partition("@")[0], tagged)
            return image
        case RevisionReference(name=name, revision=revision) as recipe:
            from envbuild.git.lock_at_revision import locked_by_name  # git and yaml: only where asked for

            folder = repository_of(store, recipe, folder)
            return _built(store, reference, locked_by_name(folder, revision, name), revision, folder, fits)
        case FileReference(revision=revision, path=path):
            from envbuild.git.lock_at_revision import locked_at

            return _built(store, reference, locked_at(folder, revision, path), revision, folder, fits)
        case _ as other:
            return assert_never(other)


def resolve(store: Store, reference: str, folder: str = ".") -> Image:
    """Return the image of `NAME`, `NAME:TAG`, either with `@{N}` or `@{DATE}`, as `folder` has the name (names.py), or
    of a digest or a unique beginning of one, with or without `sha256:`.

    Raises NoSuchImage, AmbiguousDigest, NoSuchEntry, BadMoment, ImageGone, and what `locate` raises.
    """
    tag = parse_tag(reference)
    if tag is not None and tag.which is not None:
        return past_image(store, locate(store, tag, folder), tag.which)
    if tag is not None:
        tagged = store.tags.image_of(*locate(store, tag, folder))
        image = store.images.get(tagged) if tagged is not None else None
        if image is not None:
            return image
    digits = digits_of(reference)
    if digits is not None:
        matches = store.images.starting_with(digits)
        if len(matches) > 1:
            raise AmbiguousDigest(reference, matches)
        image = store.images.get(matches[0]) if matches else None
        if image is not None:
            return image
    raise _missing(store, reference, tag, folder)


def past_image(store: Store, name: Name, which: str) -> Image:
    """Return what a tag named `which` moves ago, or at that time. Raises NoSuchEntry, BadMoment and ImageGone."""
    from envbuild.text.dates import end_of, is_count

    full = store.projects.shown(":".join(name))
    if is_count(which):
        entry = store.tags.entry_back(*name, int(which))
    else:
        entry = store.tags.entry_at(*name, end_of(which, time.time()), which)
    if entry.image is None:
        raise NoSuchEntry(full, which, "the tag was taken away then")
    image = store.images.get(entry.image)
    if image is None:
        raise ImageGone(f"{full}@{{{which}}}", entry.image)
    return image


def facts_of(image: Image) -> Facts:
    """Return the facts of an image. Raises StoreDamaged if its record is not what its digest says."""
    from envbuild.plan.image_config import image_digest, load  # `tag` and its like need no facts

    try:
        facts = load(image.facts)
        if image_digest(image.tree, facts) == image.digest:
            return facts
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError, RecursionError):
        pass
    raise PartDamaged(
        f"what is on record of image {image.digest[:12]}",
        NOT_ITSELF,
        "build its recipe again, which writes the record anew",
    )


def _missing(store: Store, reference: str, tag: TagReference | None, folder: str) -> NoSuchImage:
    from difflib import get_close_matches  # only on a mistake

    here = place_of(folder).id
    names = [store.projects.shown(name, here) for tag in store.tags.all() for name in (tag.full, tag.name)]
    near = get_close_matches(reference, names, 1)
    elsewhere = in_other_projects(store, tag) if tag is not None else ()
    recipe = f"{reference}.env" if "/" not in reference and os.path.isfile(f"{folder}/{reference}.env") else ""
    return NoSuchImage(reference, near[0] if near else None, any_image=bool(names), elsewhere=elsewhere, recipe=recipe)


def _built(store: Store, reference: str, locked: LockedRecipe, revision: str, folder: str, fits: Fits) -> Image:
    """Return the image of a recipe in a revision: what its steps gave here. What the lock says of that is text that
    anybody may have written, and may be of another state of the files."""
    in_commit = fits(store, folder, locked.commit, locked.path)
    image = store.images.get(in_commit.image) if in_commit.image else None
    if image is not None and in_commit.proven:
        return image
    if image is not None:
        reason = "its steps did not give that here"
        raise NotAsBuilt(reference, in_commit.image, locked.path, revision, reason)
    if not in_commit.image and store.images.get(locked.lock.image) is not None:
        raise NotAsBuilt(reference, locked.lock.image, locked.path, revision, in_commit.reason)
    raise NotBuiltHere(reference, in_commit.image or locked.lock.image, locked.path, revision)
