"""The points at which something of the store becomes visible to others, by name.

A crash right before or after any of them loses only what was being made. Fault tests set `at` to a function that
kills the process at one of them.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


OBJECT = "object linked into the pool"
TREES = "trees recorded"
LAYER = "layer renamed into place"
STACK = "stack recorded"
STEP = "step recorded"
IMAGE = "image recorded"
TAG = "tag moved"
LOCK = "lock written"
PUT_BACK = "path of the machine replaced"
"""Of a restore, which changes the machine and not the store."""

POINTS = (OBJECT, TREES, LAYER, STACK, STEP, IMAGE, TAG, LOCK)


def _nothing(_point: str) -> None:
    pass


at: Callable[[str], None] = _nothing
"""Called with the point's name right before it is passed."""
