"""What differs between two captures in the state that lies beside files: records that came and went, by their kind."""

from __future__ import annotations

from collections import Counter

from envbuild.images.capture_record import PASSING, STATE, read_state, rows_of
from envbuild.record import Record
from envbuild.store.store import Store
from envbuild.tree.entry import Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

ADDED, REMOVED = "added", "removed"
PACKAGE_LOG = "package-log"
"""What the package manager wrote down, which is no state (package_log.py)."""
_SUBJECTS = {"units": 1, "timers": 1, "python": 1, "node": 1, "crontabs": 3}
"""The number of the field that says what a record is about, where that is not the first (capture/state/)."""


class StateChange(Record):
    """A record of one kind of state (`users`, `units` ...) that one capture has and the other has not, with its fields.
    A record that was changed is removed and added. `passing` marks what comes and goes by itself."""

    kind: str
    verb: str
    fields: tuple[str, ...]
    passing: bool = False

    @property
    def subject(self) -> str:
        """What it is about: the user, the unit, the crontab's file."""
        return subject_of(self.kind, self.fields)


def state_changes(store: Store, old: Digest, new: Digest) -> tuple[StateChange, ...]:
    """Return the records that differ between two captures, by kind and then by what they are about, the removed one
    before the added one. What the package manager's log has is none. Raises BadCaptureRecord."""
    changes: list[StateChange] = []
    for folder in (STATE, PASSING):
        before, after = (read_state(store, tree, folder) for tree in (old, new))
        if not before or not after:
            continue  # of another root there is nothing of the kernel, and of a kind alone nothing is on record
        for kind in sorted((before.keys() | after.keys()) - {PACKAGE_LOG}):
            changes += _of_kind(kind, before.get(kind, ""), after.get(kind, ""), passing=folder == PASSING)
    return tuple(changes)


def _of_kind(kind: str, before: str, after: str, *, passing: bool) -> Iterator[StateChange]:
    if before == after:
        return
    # Equal records may stand there several times.
    ours, theirs = Counter(rows_of(before)), Counter(rows_of(after))
    differing = [*((fields, REMOVED) for fields in ours - theirs), *((fields, ADDED) for fields in theirs - ours)]
    for fields, verb in sorted(differing, key=lambda pair: (subject_of(kind, pair[0]), pair[1] == ADDED, pair[0])):
        yield StateChange(kind, verb, fields, passing)


def subject_of(kind: str, fields: tuple[str, ...]) -> str:
    """Return what a record of a kind of state is about."""
    number = _SUBJECTS.get(kind, 0)
    return fields[number] if number < len(fields) else ""
