"""The smallest bad candidate and its good neighbour as images with tags, to look into."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from envbuild.bisect.bisect import Finding
from envbuild.images.names import Name
from envbuild.plan.image_config import dump, image_digest
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.store.tags import BISECT
from envbuild.text import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def tag_candidates(
    store: Store, finding: Finding, good: Sequence[Name], bad: Sequence[Name], known: dict[str, Any]
) -> None:
    """Record the two candidates of a finding as images, and move these tags to them. `known` is for the tags' history.
    Raises TagRefuses."""
    names: Mapping[str, Sequence[Name]] = {"good": good, "bad": bad}
    for side, candidate in (("good", finding.good), ("bad", finding.bad)):
        digest = image_digest(candidate.tree, candidate.facts)
        if store.images.get(digest) is None:
            detail = json.dumps({"recipe": "bisect"}, separators=(",", ":"))
            store.images.put(Image(digest, candidate.tree, dump(candidate.facts), detail, time.time()))
        store.tags.move(names[side], digest, BISECT, known)
