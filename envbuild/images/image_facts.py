"""The facts of an image in the store, held against its digest before anything relies on them."""

from __future__ import annotations

from envbuild.plan.image_config import Facts, image_digest, load
from envbuild.store.database import StoreDamaged
from envbuild.store.images import Image


def facts_of(image: Image) -> Facts:
    """What the image says. Raises StoreDamaged if its record is not what its digest says."""
    try:
        facts = load(image.facts)
        if image_digest(image.tree, facts) == image.digest:
            return facts
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError, RecursionError):
        pass
    raise StoreDamaged(
        f"what is on record of image {image.digest[:12]} is not what its digest says",
        "build its recipe again, which writes the record anew",
    )
