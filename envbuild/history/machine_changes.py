"""The differences between two captures of machines, beyond those of their packages and files: what was done to the
machine, and what of it follows from packages."""

from __future__ import annotations

from envbuild.history.causes import Causes, causes_of
from envbuild.history.hand_edits import hand_edits
from envbuild.history.state_changes import state_changes
from envbuild.history.state_of_packages import state_of_packages
from envbuild.images.capture_record import FOLDER, read_left_out, read_unread
from envbuild.store.store import Store
from envbuild.tree.entry import Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from envbuild.history.explained_changes import ExplainedChanges
    from envbuild.history.notices import Origins
    from envbuild.tree.diff import Change


def machine_changes(
    store: Store, trees: tuple[Digest, Digest], explained: ExplainedChanges, origins: Origins
) -> tuple[ExplainedChanges, Causes]:
    """Return what differs between two captures with less in `rest`, as causes explain it. Raises BadCaptureRecord."""
    state = state_changes(store, *trees)
    numbers = {number: package.changes for number, package in enumerate(explained.packages)}
    of_packages = state_of_packages(store, trees, [p.change for p in explained.packages], numbers, state)
    owned = {*origins.moved, *origins.same}
    changed = [change.path for change in explained.changes]
    left = _Left(store, trees)
    rest = list(_own(explained.rest))
    compared = [change for change in rest if not left.has(change)]
    causes = causes_of(store, state, of_packages, compared, changed, owned)
    listed = (*causes.rest, *(change for cause in causes.causes for change in cause.listed))
    causes = causes.replace(
        uncompared=tuple(change for change in rest if left.has(change)),
        edits=hand_edits(store, trees, listed, {**origins.moved, **origins.same}),
    )
    packages = tuple(
        package.replace(
            changes=tuple(sorted([*package.changes, *causes.of_packages.get(number, ())], key=lambda c: c.path)),
            state=tuple(record for record, of in of_packages.records.items() if of == number),
        )
        for number, package in enumerate(explained.packages)
    )
    explained = explained.replace(
        packages=packages,
        rest=causes.rest,
        times=tuple(_own(explained.times)),
        parents=tuple(_own(explained.parents)),
    )
    return explained, causes


class _Left:
    """The paths that one of two captures has not because it was not to take them, or could not read them: whether they
    differ can't be told."""

    def __init__(self, store: Store, trees: tuple[Digest, Digest]) -> None:
        self._paths: set[bytes] = set()
        for tree in trees:
            missing = (*read_left_out(store, tree), *read_unread(store, tree))
            self._paths |= {path.path.removesuffix(b"/*") for path in missing}

    def has(self, change: Change) -> bool:
        """Return whether a path that only one of them has was not taken in the other."""
        if change.before is not None and change.after is not None:
            return False
        path = change.path
        while path:
            if path in self._paths:
                return True
            path = path.rpartition(b"/")[0]
        return False


def _own(changes: Iterable[Change]) -> Iterable[Change]:
    """Yield the changes of the machine's files: what a capture says beside them is state."""
    return (change for change in changes if change.path != FOLDER and not change.path.startswith(FOLDER + b"/"))
