"""The images that an image was built on, by the record of its build (build/publish.py)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from envbuild.store.images import Image
    from envbuild.store.store import Store

MAX_IMAGES = 100
"""Images below one another that are looked at."""


def image_below(store: Store, stage: Mapping[str, Any]) -> Image | None:
    """Return the image that a stage on record stands on, None where it stands on none that the store has."""
    kind, _, argument = stage["origin"].partition(" ")
    if kind == "image":
        return store.images.get(argument.removeprefix("sha256:"))
    if kind == "recipe":
        # Earlier records don't say which of several with its tree it was.
        return store.images.get(stage.get("image", "")) or store.images.of_tree(stage["tree"])
    return None


def with_those_below(store: Store, image: Image) -> Iterator[Image]:
    """Yield an image, and those that its stages and theirs stand on, each once and MAX_IMAGES at most."""
    pending: list[Image | None] = [image]
    seen: set[str] = set()
    while pending:
        here = pending.pop()
        if here is None or here.digest in seen or len(seen) == MAX_IMAGES:
            continue
        seen.add(here.digest)
        yield here
        pending += [image_below(store, stage) for stage in here.known.get("stages", [])]
