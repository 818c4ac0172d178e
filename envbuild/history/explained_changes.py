"""The paths that differ between two trees, by what explains them: packages that moved, package managers' own files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from envbuild.history.account_names import AccountNames
from envbuild.history.package_changes import Attribution, PackageChange, package_changes
from envbuild.packages.inventory.bad_record import BadRecord
from envbuild.record import Record, values
from envbuild.store.store import Store
from envbuild.tree.diff import Change, aspects, diff, expanded
from envbuild.tree.entry import DIRECTORY, ROOT_NAME, Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.history.state_changes import StateChange


class PackageDifference(Record):
    """A package that differs, with the changed paths that it explains. `asked` says whether somebody asked for it by
    name; all others were pulled in by such packages, or came with the base. `state` are the records of captures that
    follow from it."""

    change: PackageChange
    changes: tuple[Change, ...] = ()
    asked: bool = False
    state: tuple[StateChange, ...] = ()


class ExplainedChanges(Record):
    """The paths that differ between two trees, by what explains them, as in a Comparison; of packages it is not known
    who asked for them. `attribution` has what else their records say, and `accounts` the names of owners."""

    changes: tuple[Change, ...]
    packages: tuple[PackageDifference, ...]
    records: tuple[Change, ...]
    times: tuple[Change, ...]
    rest: tuple[Change, ...]
    parents: tuple[Change, ...]
    bad: tuple[BadRecord, ...]
    attribution: Attribution
    accounts: AccountNames


def explained_changes(store: Store, old: Digest, new: Digest) -> ExplainedChanges:
    """Return what differs between two trees, by what explains it. Raises StoreDamaged."""
    changes = sorted(expanded(store.trees, diff(store.trees, old, new)), key=lambda change: change.path)
    read = package_changes(store, changes)
    packages = list(read.changes)
    accounts = AccountNames(store, (old, new))
    attribution = Attribution()
    if packages:
        from envbuild.history.package_attribution import attribute  # records: only where packages differ

        attribution = attribute(store, (old, new), packages, changes, accounts)
    else:
        attribution.rest = changes
    rest: list[Change] = []
    times: list[Change] = []
    for change in attribution.rest:
        (times if aspects(change) == ("time",) else rest).append(change)
    # A directory's time is that of the last change inside it.
    inside = _folders(changes)
    shown_times = [change for change in times if not (is_folder(change) and change.path in inside)]
    shown = list(_without_parents(rest, inside))
    kept = {change.path for change in (*shown_times, *shown)}
    return ExplainedChanges(
        changes=tuple(changes),
        packages=tuple(
            PackageDifference(change, tuple(attribution.of.get(n, ()))) for n, change in enumerate(packages)
        ),
        records=tuple(attribution.records),
        times=tuple(shown_times),
        rest=tuple(shown),
        parents=tuple(change for change in (*times, *rest) if change.path not in kept),
        bad=tuple(sorted({*read.bad, *attribution.bad}, key=values)),
        attribution=attribution,
        accounts=accounts,
    )


def _without_parents(changes: list[Change], inside: set[bytes]) -> Iterator[Change]:
    """Yield the changes without directories that were added or removed because something in them was; `inside` are the
    directories in which something changed."""
    for change in changes:
        if is_folder(change) and change.path in inside and (change.before is None or change.after is None):
            continue
        yield change


def is_folder(change: Change) -> bool:
    """Return whether a path is a directory on each side that has it."""
    return all(entry is None or entry.kind == DIRECTORY for entry in (change.before, change.after))


def _folders(changes: Iterable[Change]) -> set[bytes]:
    """Return the directories in which something changed."""
    folders: set[bytes] = set()
    for change in changes:
        path = change.path
        if path != ROOT_NAME:
            folders.add(ROOT_NAME)
        while b"/" in path:
            path = path.rpartition(b"/")[0]
            if path in folders:
                break
            folders.add(path)
    return folders
