"""How tests ended on trees, remembered: the same test is not run again on the same tree.

They are rows of the memo. A row begins with the time of its last use, so that `gc` can go by it.
"""

from __future__ import annotations

import time

from envbuild.store.record_text import fits
from envbuild.store.step_cache import Memo
from envbuild.text import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

Run = tuple[int, bool, bool, bool, str]
"""Exit status, whether its time was up, whether it printed the expected text, whether it was started, and its last
words."""
KIND = "trial 1"
"""The kind of the rows in the memo; runs that mean something else need another number."""
KEPT = 90 * 86400.0
"""Seconds that runs are kept after they were used last."""
MAX_RUNS = 10_000
"""Of one test on one tree."""
_SHAPE = (float, [(int, bool, bool, bool, str)])


class Trials:
    """The runs of tests on record, by a key that has all that a run depends on."""

    def __init__(self, memo: Memo) -> None:
        self._memo = memo

    def get(self, key: str) -> list[Run]:
        """Return all runs of a test on a tree, in their order; none where the record makes no sense."""
        return _read(self._memo.get(KIND, key))[1]

    def put(self, key: str, runs: Sequence[Run]) -> None:
        """Record the runs of a test on a tree, in place of those on record."""
        plain = [time.time(), [list(run) for run in runs[-MAX_RUNS:]]]
        self._memo.put(KIND, key, json.dumps(plain, separators=(",", ":")).encode())

    def forget_unused(self) -> None:
        """Forget what was not used for long."""
        oldest = time.time() - KEPT
        for key, value in self._memo.all(KIND):
            if _read(value)[0] < oldest:
                self._memo.remove(KIND, key)


def _read(value: bytes | None) -> tuple[float, list[Run]]:
    try:
        plain = json.loads(value or b"")
    except (ValueError, RecursionError):
        return 0.0, []
    if not fits(plain, _SHAPE):
        return 0.0, []
    used, runs = plain
    return used, [tuple(run) for run in runs]
