"""The comparison of two environments, sorted by what a reader wants to know first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from envbuild.history.account_names import AccountNames
from envbuild.history.explained_changes import PackageDifference, explained_changes, is_folder
from envbuild.history.network_changes import NetworkChange, commit_changes, network_changes
from envbuild.history.notices import Notice, Origins, notices_of, program_folders
from envbuild.history.operand import Declared, Operand, first_lines
from envbuild.history.package_changes import Attribution, Package, PackageChange
from envbuild.images.capture_record import FOLDER, BadCaptureRecord, is_capture
from envbuild.packages.inventory.bad_record import BadRecord
from envbuild.packages.inventory.component import DPKG
from envbuild.packages.inventory.owners import has_debian_records, owners_of
from envbuild.packages.registry import KINDS
from envbuild.record import Record
from envbuild.store.store import Store
from envbuild.tree.diff import Change
from envbuild.tree.entry import Digest
from envbuild.tree.lookup import LinkCircle, real_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from envbuild.history.causes import Causes


class FactChange(Record):
    """A fact that differs, by its name (`env.PATH`, `user`); None if a side does not have it."""

    name: str
    old: Any
    new: Any


class Comparison(Record):
    """The differences between `old` and `new`.

    `packages` fold the paths that they explain. `records` are files of the package managers themselves, `times` paths
    of which only the time differs, `rest` all others: what no package explains. `parents` are directories that differ
    only because something in them does. All are sorted by path. `notices` are those of all these paths that a reader
    has to see, by what matters; `unread` are paths of packages whose content was not compared. `network` is what their
    builds asked of it, as far as it is on record, also where both are the same image. `machine` has what else was done
    to a machine of which both are captures; its paths are in none of the others. If only a side's lock is known
    (`whole` is False), there are only that and the packages that recipes declare, and no paths.
    """

    old: Operand
    new: Operand
    whole: bool
    facts: tuple[FactChange, ...] = ()
    packages: tuple[PackageDifference, ...] = ()
    records: tuple[Change, ...] = ()
    times: tuple[Change, ...] = ()
    rest: tuple[Change, ...] = ()
    parents: tuple[Change, ...] = ()
    bad: tuple[BadRecord, ...] = ()
    notices: tuple[Notice, ...] = ()
    unread: tuple[Change, ...] = ()
    network: tuple[NetworkChange, ...] = ()
    machine: Causes | None = None

    @property
    def others(self) -> list[Change]:
        """What no package explains and no notice names."""
        noticed = {notice.change.path for notice in self.notices}
        return [change for change in self.rest if change.path not in noticed]

    @property
    def same(self) -> bool:
        """Whether both are known to be the same image, or to have equal contents if one is not an image."""
        if self.old.image and self.new.image:
            # Two locks that name one image and other packages contradict each other: a merge left that.
            return self.old.image == self.new.image and (self.whole or not self.packages)
        return self.whole and (self.old.tree, self.old.facts) == (self.new.tree, self.new.facts)

    @property
    def unknown(self) -> bool:
        """Whether it can't be told if both are the same image: the image of one is unknown, and all that is known of
        both is equal."""
        if self.whole or (self.old.image and self.new.image):
            return False
        return not self.packages and _say_the_same(self.old, self.new)

    @property
    def changes(self) -> list[Change]:
        """All changed paths, sorted."""
        folded = [change for package in self.packages for change in package.changes]
        if self.machine is not None:
            folded += self.machine.changes
        return sorted([*folded, *self.records, *self.times, *self.rest, *self.parents], key=lambda change: change.path)


class FolderCount(Record):
    """The number of changed paths in one top directory, and the bytes of their files before and after."""

    folder: str
    added: int
    removed: int
    changed: int
    old_size: int
    new_size: int


def compare(store: Store, old: Operand, new: Operand) -> Comparison:
    """Compare two environments. Raises StoreDamaged if the store lacks a part of them."""
    network = (*commit_changes(old.commits, new.commits), *network_changes(old.network, new.network))
    if old.tree is None or new.tree is None:
        declared = _declared(old.packages, new.packages)
        asked = _asked_for(store, old, new, declared)
        packages = tuple(PackageDifference(change, asked=change in asked) for change in declared)
        return Comparison(old, new, False, (), packages, network=network)
    facts = fact_changes(old.facts or {}, new.facts or {})
    return _trees(store, Comparison(old, new, True, facts, network=network), old.tree, new.tree)


def _say_the_same(old: Operand, new: Operand) -> bool:
    """Return whether two operands have the same statements: by the texts of their recipes if these are known."""
    texts = [side.recipe[0][1] for side in (old, new) if side.recipe and side.recipe[0][1]]
    if len(texts) < 2:
        return first_lines(old) == first_lines(new)
    ours, theirs = ([line for line in text.splitlines() if line.strip() and line[0] != "#"] for text in texts)
    return ours == theirs


def by_folder(changes: Iterable[Change]) -> list[FolderCount]:
    """Return a count for each top directory with changes, sorted; files at the root itself count as `/`."""
    counts: dict[str, list[int]] = {}
    for change in changes:
        head, slash, _ = change.path.partition(b"/")
        folder = "/" + head.decode("utf-8", "backslashreplace") if slash else "/"
        count = counts.setdefault(folder, [0, 0, 0, 0, 0])
        before, after = change.before, change.after
        count[0 if before is None else 1 if after is None else 2] += 1
        count[3] += before.size if before is not None else 0
        count[4] += after.size if after is not None else 0
    return [FolderCount(folder, *count) for folder, count in sorted(counts.items())]


def _trees(store: Store, comparison: Comparison, old: Digest, new: Digest) -> Comparison:
    explained = explained_changes(store, old, new)
    captures = is_capture(store, old) and is_capture(store, new)
    attribution = explained.attribution
    packages = [difference.change for difference in explained.packages]
    names = [_short_name(change) for change in packages]
    folded = [(change, names[number]) for number, inner in attribution.of.items() for change in inner]
    folded += [(change, "") for change in attribution.records]
    origins = _origins(store, new, packages, attribution, explained.rest, explained.accounts)
    asked = _asked_for(store, comparison.old, comparison.new, packages)
    machine: Causes | None = None
    if captures:
        from envbuild.history.machine_changes import machine_changes  # only of captures

        try:
            explained, machine = machine_changes(store, (old, new), explained, origins)
            folded += [(change, "") for change in machine.changes]
        except BadCaptureRecord as error:
            # Anybody may say so of an image; the files are compared all the same.
            bad = BadRecord("capture", f"/{FOLDER.decode()}/{error.file}", error.reason)
            explained = explained.replace(bad=(*explained.bad, bad))
    return comparison.replace(
        # The epoch of a capture is the time of its latest file.
        facts=tuple(fact for fact in comparison.facts if machine is None or fact.name != "epoch"),
        packages=tuple(difference.replace(asked=difference.change in asked) for difference in explained.packages),
        machine=machine,
        notices=notices_of(explained.rest, folded, origins, _program_folders(store, comparison)),
        unread=tuple(change for change in explained.changes if change.path in attribution.unread),
        records=explained.records,
        times=explained.times,
        rest=explained.rest,
        parents=explained.parents,
        bad=explained.bad,
    )


def _origins(
    store: Store,
    tree: Digest,
    packages: list[PackageChange],
    attribution: Attribution,
    rest: Iterable[Change],
    accounts: AccountNames,
) -> Origins:
    """Return what the packages of a tree say of the paths that they do not explain."""
    moved = {path: _short_name(packages[number]) for path, number in attribution.owners.items()}
    others = [change.path for change in rest if change.path not in moved and not is_folder(change)]
    debian = [change.package.name for change in packages if change.package.kind == DPKG]
    known = {*debian, *(name.partition(":")[0] for name in debian)}
    same = owners_of(store, tree, others, known) if others else {}
    edited = frozenset(attribution.edited)
    return Origins(moved, same, edited, has_debian_records(store, tree), accounts.same_owner)


def _short_name(change: PackageChange) -> str:
    package = change.package
    return package.name.partition(":")[0] if package.kind == DPKG else package.name


def _asked_for(store: Store, old: Operand, new: Operand, packages: list[PackageChange]) -> set[PackageChange]:
    if not packages:
        return set()
    from envbuild.history.requested_packages import RequestedPackages  # statements: only where packages differ

    requested = RequestedPackages(store, old, new)
    return {change for change in packages if requested.asked_for(change)}


def _program_folders(store: Store, comparison: Comparison) -> frozenset[bytes]:
    """Return the directories that either side runs programs from, by their own names and by those that links give."""
    paths = [(side.facts or {}).get("env", {}).get("PATH", "") for side in (comparison.old, comparison.new)]
    folders = set(program_folders(paths))
    for folder in list(folders):
        for side in (comparison.old, comparison.new):
            try:
                folders.add(real_path(store.trees, side.tree or "", folder)[0])
            except LinkCircle:
                pass
    return frozenset(folders - {b""})


def fact_changes(old: dict[str, Any], new: dict[str, Any]) -> tuple[FactChange, ...]:
    """Return the facts that differ between two environments, sorted by name."""
    return tuple(_facts("", old, new))


def _facts(prefix: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[FactChange]:
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        if isinstance(before or after, dict) and isinstance(after or before, dict):
            yield from _facts(f"{prefix}{name}.", before or {}, after or {})
        else:
            yield FactChange(prefix + name, before, after)


def _declared(old: Iterable[Declared], new: Iterable[Declared]) -> list[PackageChange]:
    before = {(package.manager, package.name): package for package in old}
    after = {(package.manager, package.name): package for package in new}
    keys = sorted(before.keys() | after.keys())
    pairs = ((before.get(key), after.get(key)) for key in keys)
    return [PackageChange(_package(left), _package(right)) for left, right in pairs if left != right]


def _package(declared: Declared | None) -> Package | None:
    if declared is None:
        return None
    return Package(KINDS.get(declared.manager, declared.manager), declared.name, declared.version, "", "")
