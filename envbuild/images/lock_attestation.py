"""Whether the store itself made what a lock names. A lock is text that anybody may have written: that an image is in
the store does not say that it is what this lock's recipe gives."""

from __future__ import annotations

import os

from envbuild.images.reference import FileReference, PinnedReference, RevisionReference, StoreReference, parse
from envbuild.record import assert_never
from envbuild.store.images import Image
from envbuild.store.project import split_project
from envbuild.store.store import Store
from envbuild.text import json
from envbuild.tree.entry import Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from envbuild.lockfile.lock import Lock

MADE = "base made"
"""Under which the store's memo keeps which trees it made for which bases."""
Texts = tuple[tuple[str, str], ...]
"""(path, content) of a recipe's files, the recipe first."""


def attested_image(store: Store, lock: Lock) -> Image | None:
    """Return the image that the lock names, if the store has it and the lock has the result of each of the steps that
    made it here; else None."""
    image = store.images.get(lock.image) if lock.image else None
    if image is None or image.tree != lock.results.images[0].tree:
        return None
    stages = json.loads(image.detail).get("stages", [])
    bases = {stage.digest for stage in lock.stages}
    trees = {tree for known in lock.results.steps.values() for tree in known} | bases
    for stage in stages:
        steps = [step for step in stage["steps"] if step["kind"] != "test"]
        if not steps and stage["tree"] not in trees:
            return None
        if any(step["tree"] not in lock.results.steps.get(step["key"], ()) for step in steps):
            return None
    return image if stages else None


def results_of_images(store: Store, digests: Sequence[Digest]) -> dict[str, Digest]:
    """Return the trees by the keys of the steps that made images here, as far as these are in the store."""
    results: dict[str, Digest] = {}
    for digest in digests:
        image = store.images.get(digest)
        for stage in json.loads(image.detail).get("stages", []) if image is not None else ():
            results |= {step["key"]: step["tree"] for step in stage["steps"]}
    return results


def result_of(store: Store, key: str) -> str | None:
    """Return the tree that a step of this key gave here, None if none ran that is still on record."""
    record = store.steps.get(key)
    return record.tree if record is not None else None


def kept_recipe(store: Store, image: Image) -> Texts:
    """Return the files of the recipe that an image was built from, as they were kept beside it (source_tree.py)."""
    sources = json.loads(image.detail).get("sources")
    if not sources or not store.trees.has(sources["tree"]):
        return ()
    texts = []
    for path in sources.get("files", ()):
        text = store.read_text(sources["tree"], path, errors="replace")
        if text is not None:
            texts.append((path, text))
    return tuple(texts)


def pinned_image(store: Store, reference: str, digest: str) -> Image | None:
    """Return the image that a lock says a reference means, if the store knows it by that name: a name that it had, the
    recipe that it was built from, or the digest that the reference is; else None."""
    image = store.images.get(digest)
    if image is None:
        return None
    digits: str | None = None
    match parse(reference):
        case StoreReference(tag=tag, digits=digits):
            name = tag.name if tag is not None else ""
        case PinnedReference(tag=tag, digits=digits):
            name = tag.name if tag is not None else ""
        case RevisionReference(name=name):
            pass
        case FileReference(path=path):
            name = os.path.basename(path).removesuffix(".lock").removesuffix(".env")
        case _ as other:
            assert_never(other)
    if digits is not None and image.digest.startswith(digits):
        return image
    # Whichever project's name: the lock has the digest, which says the same in each of them.
    names = (split_project(move.name)[1] for move in store.tags.moves_to(digest))
    if json.loads(image.detail).get("recipe") == name or name in names:
        return image
    return None


def is_base(store: Store, base: str, tree: Digest) -> bool:
    """Return whether the store made this tree for a base of this text (`debian:bookworm`)."""
    key = f"{tree} {base}"
    if store.memo.get(MADE, key) is not None:
        return True
    # Made by a version that did not write that down: then it is in the record of what was built on it.
    for image in store.images.all():
        for stage in json.loads(image.detail).get("stages", []):
            if (stage["base"], stage["tree"]) == (base, tree):
                remember_base(store, base, tree)
                return True
    return False


def remember_base(store: Store, base: str, tree: Digest) -> None:
    """Write down that the store made a tree for a base of this text."""
    if not store.database.read_only:
        store.memo.put(MADE, f"{tree} {base}", b"1")
