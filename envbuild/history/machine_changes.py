"""The differences between two captures of machines, beyond those of their packages and files: what was done to the
machine, and what of it follows from packages."""

from __future__ import annotations

from envbuild.history.causes import Causes, causes_of
from envbuild.history.state_changes import state_changes
from envbuild.history.state_of_packages import state_of_packages
from envbuild.images.capture_record import FOLDER
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
    causes = causes_of(store, state, of_packages, list(_own(explained.rest)), changed, owned)
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


def _own(changes: Iterable[Change]) -> Iterable[Change]:
    """Yield the changes of the machine's files: what a capture says beside them is state."""
    return (change for change in changes if change.path != FOLDER and not change.path.startswith(FOLDER + b"/"))
