"""What the recipes of a build take from elsewhere: folders of this machine, images, and files from the network.

Each is looked up once, and is what the build's record and lock say of it afterwards.
"""

from __future__ import annotations

import os

from envbuild.build.graph import PlannedRecipe
from envbuild.lockfile.lock import commit_id
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.tree.entry import DIRECTORY, Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from envbuild.build.context import Context
    from envbuild.build.context_scan import ContextItem
    from envbuild.images.find import Fits
    from envbuild.sharing.image_trust import Trust


class Sources:
    """The sources of one build so far, by recipe."""

    def __init__(self, store: Store, project: str, fits: Fits, *, pinned: bool, trust: Trust | None = None) -> None:
        """`project` is the real folder that files may come from. `pinned` is whether images and files are those that
        the locks name; `fits` is for `look_up`. `trust` are the policies that images have to satisfy."""
        self._store = store
        self._project = project
        self._fits = fits
        self._pinned = pinned
        self._trust = trust
        self._contexts: dict[tuple[int, str], Context] = {}
        self._images: dict[int, dict[str, Digest]] = {}
        self._fetched: dict[int, dict[str, Digest]] = {}
        self._nested: dict[int, dict[str, str]] = {}
        self.redirects: dict[str, str] = {}
        """Where servers sent us on to, by the address that a recipe has."""
        self.ref_kinds: dict[str, str] = {}
        """What the name of a commit turned out to be, a branch or a tag, by the address that a recipe has."""

    def context(self, recipe: PlannedRecipe, folder: str) -> Context:
        """Return the folder that paths of a statement are relative to."""
        key = (recipe.number, folder)
        if key not in self._contexts:
            from envbuild.build.context import Context  # only where a statement takes files

            root = os.path.dirname(recipe.path) or "."
            hidden = [os.path.realpath(recipe.lock_path), os.path.realpath(self._store.path)]
            self._contexts[key] = Context(folder, root, self._store, hidden, project=self._project)
        return self._contexts[key]

    def image(self, recipe: PlannedRecipe, reference: str, folder: str) -> Image:
        """Return the image that a reference means: the one that the lock pins, else the one that has the name now.
        Raises NoSuchImage, Untrusted and what else `look_up` raises."""
        # Only where a recipe names an image.
        from envbuild.images.find import look_up
        from envbuild.images.lock_attestation import pinned_image

        digest = recipe.pinned_image(reference) if self._pinned else None
        image = pinned_image(self._store, reference, digest) if digest else None
        if image is None:
            image = look_up(self._store, reference, folder, self._fits)
        if self._trust is not None:
            from envbuild.sharing.image_trust import AS_BASE

            self._trust.check_image(self._store, image, reference, AS_BASE)
        self.images(recipe)[reference] = image.digest
        return image

    def pinned_file(self, recipe: PlannedRecipe, url: str) -> Digest | None:
        """Return the sha256 that the lock has for a URL's file."""
        fetched = dict(recipe.lock.own.fetched) if recipe.lock is not None and self._pinned else {}
        return fetched.get(url) or None  # "" is what a merge left unknown

    def pinned_commit(self, recipe: PlannedRecipe, url: str) -> str:
        """Return the commit that the lock has for the address of a git repository, "" if it has none."""
        commits = dict(recipe.lock.own.commits) if recipe.lock is not None and self._pinned else {}
        return commit_id(commits.get(url, ""))

    def contexts(self, recipe: PlannedRecipe | None = None) -> list[Context]:
        """Return the folders that statements took files from so far: those of one recipe, or of all."""
        return [context for (number, _), context in self._contexts.items() if recipe is None or number == recipe.number]

    def images(self, recipe: PlannedRecipe) -> dict[str, Digest]:
        """Return the digests of the images that a recipe took so far, by reference."""
        return self._images.setdefault(recipe.number, {})

    def fetched(self, recipe: PlannedRecipe) -> dict[str, Digest]:
        """Return the digests of the files that a recipe took so far from the network, by URL."""
        return self._fetched.setdefault(recipe.number, {})

    def nested(self, recipe: PlannedRecipe) -> dict[str, str]:
        """Return the directories that a recipe copied into others so far, each with where to."""
        return self._nested.setdefault(recipe.number, {})

    def files_read(self, recipe: PlannedRecipe) -> Iterator[str]:
        """Yield the real paths of what a recipe and its includes are, and of what they took of the folders. Links that
        were copied are among them, folders are not."""
        for path, _ in recipe.recipe.files:
            yield os.path.realpath(path)
        for context in self.contexts(recipe):
            if context.ignored.path:
                yield context.ignored.path
            yield from context.texts
            yield from context.archives
            for item in context.taken.values():
                yield from _paths(item)


def _paths(item: ContextItem) -> Iterator[str]:
    if item.entry.kind != DIRECTORY:
        yield item.path
    for child in item.children:
        yield from _paths(child)
