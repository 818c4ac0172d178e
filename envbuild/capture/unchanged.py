"""Is a capture the same as the one before? What changes by itself, where nobody does anything, is no change."""

from __future__ import annotations

from envbuild.images.capture_record import FOLDER
from envbuild.tree.diff import aspects, diff
from envbuild.tree.entry import DIRECTORY, Digest
from envbuild.tree.lookup import Trees

_SECRETS = FOLDER + b"/secrets"
_STATE = FOLDER + b"/state"


def is_unchanged(trees: Trees, old: Digest, new: Digest) -> bool:
    """Return whether two captures differ in nothing but times of directories, which change with what is left out of
    them, what comes and goes by itself, and the lists of what was not taken. Equal subtrees are not looked at."""
    for change in diff(trees, old, new):
        entry = change.after or change.before
        assert entry is not None
        if entry.kind == DIRECTORY and aspects(change) == ("time",):
            continue
        if change.path.startswith(FOLDER + b"/") and not _counts(change.path):
            continue
        return False
    return True


def _counts(path: bytes) -> bool:
    """Return whether a path of what a capture says of itself is of the machine, and not of the capture."""
    return path in (_SECRETS, _STATE) or path.startswith(_STATE + b"/")
