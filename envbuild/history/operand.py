"""One side of a comparison: what a user may name there, and what is known of it."""

from __future__ import annotations

import os
from collections.abc import Callable

from envbuild.build.named_image import find_image
from envbuild.build.recipe_cache import load
from envbuild.build.recipe_files import UnreadableFile, lock_text, project_of, read_recipe
from envbuild.errors import UsageError
from envbuild.images.find import facts_of
from envbuild.images.lock_attestation import Texts, attested_image, kept_recipe
from envbuild.images.reference import GIT, FileReference, RevisionReference, parse
from envbuild.lockfile.lock import Lock
from envbuild.plan.image_config import to_plain
from envbuild.record import Record
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.tree.entry import Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Statement(Record):
    """One statement that made a side: its stage, its text (of a lock only the first line) and its place, if known."""

    stage: str
    text: str
    place: str = ""


class Declared(Record):
    """A package as a lock has it: its manager (apt, pip, npm), its name there and its version."""

    manager: str
    name: str
    version: str


class Side(Record):
    """What `label` means. `tree` and `facts` (as `show` has them) are None where the store does not have the image, and
    only its lock is known."""

    label: str
    image: Digest
    tree: Digest | None
    facts: dict[str, Any] | None
    statements: tuple[Statement, ...]
    packages: tuple[Declared, ...]
    size: int | None = None
    recipe: Texts = ()


class NothingToCompare(UsageError):
    """A file that says of no image what it is."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is not built, and has no lock", f"build it: envbuild build {path}")


def side_of(
    store: Store,
    text: str,
    built: Callable[[str], Image | None],
    running: Callable[[str], Side | None] = lambda text: None,
    folder: str = ".",
) -> Side:
    """The side that `text` names: an image in any form, a recipe, `git:REV:FILE`, a lock, or an instance.

    `running` gives the side of an instance that is called so; it is asked before the images.

    A recipe means what it comes to as it is: `built` gives that image if the store has all of it. If not, its lock is
    what there is to compare. Raises UsageError kinds.
    """
    if text.startswith(GIT):
        from envbuild.git.lock_at_revision import locked_at  # git and yaml: only where asked for

        file = parse(text)
        assert isinstance(file, FileReference)
        found = locked_at(folder, file.revision, file.path)
        return side_of_lock(store, text, found.lock).replace(recipe=((found.path, found.recipe),))
    path = os.path.join(folder, text)
    if text.endswith(".lock") and os.path.isfile(path):
        return side_of_lock(store, text, _read_lock(store, path))
    if text.endswith((".lock", ".env")) and not os.path.isfile(path):
        raise UsageError(f"there is no file {text}", "name a recipe, a lock, or an image: envbuild images")
    if os.path.isfile(path) and (text.endswith(".env") or "/" in text):
        image = built(path)
        if image is not None:
            return side_of_image(store, text, image).replace(recipe=_recipe_at(store, path))
        if not os.path.isfile(f"{path}.lock"):
            raise NothingToCompare(text)
        return side_of_lock(store, f"{text}.lock", _read_lock(store, f"{path}.lock"))
    reference = parse(text)
    if isinstance(reference, RevisionReference):
        from envbuild.git.lock_at_revision import locked_by_name

        found = locked_by_name(folder, reference.revision, reference.name)
        return side_of_lock(store, text, found.lock).replace(recipe=((found.path, found.recipe),))
    instance = running(text)
    if instance is not None:
        return instance
    return side_of_image(store, text, find_image(store, text, folder))


def side_of_image(store: Store, label: str, image: Image) -> Side:
    """The side that an image in the store is."""
    detail = image.known
    statements, packages = [], []
    for stage in detail.get("stages", []):
        statements.append(Statement(stage["stage"], f"from {stage['base']}  # {stage['origin']}"))
        for step in stage["steps"]:
            statements.append(Statement(stage["stage"], step["text"], f"{step['file']}:{step['line']}"))
            packages += [Declared(*one[:3]) for one in step.get("packages", [])]
    facts = to_plain(facts_of(image))
    recipe = kept_recipe(store, image)
    return Side(label, image.digest, image.tree, facts, tuple(statements), tuple(packages), recipe=recipe)


def side_of_lock(store: Store, label: str, lock: Lock) -> Side:
    """The side that a lock names: its image if the store has it and made it so, else what the lock itself says."""
    image = attested_image(store, lock)
    if image is not None and store.trees.has(image.tree):
        return side_of_image(store, label, image)
    statements, packages = [], []
    for stage in lock.stages:
        statements.append(Statement(stage.name, f"from {stage.base}  # {stage.origin}"))
        for step in stage.steps:
            statements.append(Statement(stage.name, step.text))
            manager = step.text.split()[0].partition("(")[0]
            packages += [Declared(manager, one.name, one.version) for one in step.packages]
    return Side(label, lock.image, None, None, tuple(statements), tuple(packages), lock.size)


def _recipe_at(store: Store, path: str) -> Texts:
    found = []
    folder = project_of(path)
    for one, _ in load(path, (), store, folder).files:
        try:
            found.append((one, read_recipe(folder, one).decode("utf-8", "replace")))
        except OSError as error:
            raise UnreadableFile(one, error.strerror or str(error)) from error
    return tuple(found)


def _read_lock(store: Store, path: str) -> Lock:
    from envbuild.lockfile.lock_memo import read_lock

    return read_lock(lock_text(path), path, store)
