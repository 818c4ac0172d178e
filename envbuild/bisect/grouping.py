"""The differences of a comparison in groups: what has one cause is tried together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from envbuild.bisect.composer import VARIABLE
from envbuild.bisect.differences import (
    DEBIAN,
    FACT,
    NODE,
    PYTHON,
    RECORDS,
    TIMES,
    FactPart,
    Group,
    Part,
    PathPart,
    StanzaPart,
)
from envbuild.bisect.loose_files import loose_groups, shown_path
from envbuild.bisect.status_stanzas import StatusChanges, status_changes
from envbuild.history.compare import fact_changes
from envbuild.history.explained_changes import ExplainedChanges, explained_changes
from envbuild.history.operand import Operand
from envbuild.history.package_changes import STATUS
from envbuild.packages.inventory.bad_record import MAX_STATUS
from envbuild.packages.inventory.component import DPKG
from envbuild.packages.inventory.component import NODE as NODE_KIND
from envbuild.packages.inventory.component import PYTHON as PYTHON_KIND
from envbuild.packages.inventory.owners import owners_of
from envbuild.record import Record
from envbuild.store.store import Store
from envbuild.tree.diff import Change, aspects
from envbuild.tree.entry import DIRECTORY, ROOT_NAME, Digest
from envbuild.tree.entry import FILE as FILE_ENTRY

_KINDS = {DPKG: DEBIAN, PYTHON_KIND: PYTHON, NODE_KIND: NODE}
TRIED_FACTS = (VARIABLE, "user", "workdir")
"""The facts that a command in an environment can notice; the others say what an instance runs, and how."""


_OF_DEBIAN = (
    b"usr/lib/python3/dist-packages/",
    b"usr/share/nodejs/",
    b"usr/share/node_modules/",
    b"usr/lib/node_modules/",
)
"""Where Debian packages have Python distributions and Node modules (Debian's Python and JavaScript policies)."""
_RECORDS = (b"/METADATA", b".egg-info", b"/PKG-INFO", b"/package.json")


class Differences(Record):
    """The groups of all differences between two environments; `status` has dpkg's status in stanzas, None if it does
    not differ or is one part with all that is in it."""

    groups: tuple[Group, ...]
    status: StatusChanges | None


def grouped(store: Store, old: Operand, new: Operand) -> Differences:
    """Return the differences of two environments whose trees are known, in groups. Raises StoreDamaged."""
    assert old.tree is not None
    assert new.tree is not None
    explained = explained_changes(store, old.tree, new.tree)
    changes = explained.changes
    status = _status(store, changes)
    skipped = set(implied_paths(changes))
    if status is not None:
        skipped.add(STATUS)

    def parts(some: Iterable[Change]) -> list[PathPart]:
        return [PathPart(*change) for change in some if change.path not in skipped]

    groups = _with_debians(store, (old.tree, new.tree), list(_packages(explained, parts, status)))
    if status is not None:
        known = {part.package for group in groups for part in group.parts if isinstance(part, StanzaPart)}
        groups += [
            Group(RECORDS, f"dpkg's record of {name.partition(':')[0]}", (_stanza(status, name),))
            for name in status.changed
            if name not in known
        ]
    records: dict[str, list[Part]] = {}
    for part in parts(explained.records):
        records.setdefault(_record_name(part.path), []).append(part)
    groups += [Group(RECORDS, name, tuple(members)) for name, members in records.items()]
    groups += loose_groups(store, (new, old), parts((*explained.rest, *explained.parents)))
    groups.append(Group(TIMES, "the times of files", tuple(parts(explained.times))))
    for fact in fact_changes(old.facts or {}, new.facts or {}):
        if fact.name.startswith(TRIED_FACTS):
            groups.append(Group(FACT, fact_name(fact.name), (FactPart(fact.name, fact.old, fact.new),)))
    return Differences(tuple(group for group in groups if group.parts), status)


def fact_name(name: str) -> str:
    """Return what a fact is called in sentences."""
    return f"the variable {name.removeprefix(VARIABLE)}" if name.startswith(VARIABLE) else f"the {name}"


def implied_paths(changes: Iterable[Change]) -> Iterator[bytes]:
    """Yield the paths that are no parts: they follow from what lies in them, or from the path that they lie in."""
    inside: set[bytes] = set()
    whole: set[bytes] = set()
    for change in changes:
        kinds = {entry.kind == DIRECTORY for entry in (change.before, change.after) if entry is not None}
        if len(kinds) == 2:
            whole.add(change.path)
        above = change.path
        while b"/" in above:
            above = above.rpartition(b"/")[0]
            inside.add(above)
            if above in whole:
                yield change.path
        inside.add(ROOT_NAME)
    for change in changes:
        sides = [entry for entry in (change.before, change.after) if entry is not None]
        is_folder = change.path in inside and all(entry.kind == DIRECTORY for entry in sides)
        if is_folder and (len(sides) == 1 or aspects(change) == ("time",)):
            yield change.path


def _status(store: Store, changes: Iterable[Change]) -> StatusChanges | None:
    change = next((change for change in changes if change.path == STATUS), None)
    sides = (change.before, change.after) if change is not None else ()
    texts = [
        store.objects.read(entry).decode("utf-8", "surrogateescape")
        for entry in sides
        if entry is not None and entry.kind == FILE_ENTRY and entry.size <= MAX_STATUS
    ]
    return status_changes(*texts) if len(texts) == 2 else None


def _packages(
    explained: ExplainedChanges,
    parts: Callable[[Iterable[Change]], list[PathPart]],
    status: StatusChanges | None,
) -> Iterator[Group]:
    for package in explained.packages:
        change = package.change
        members: list[Part] = [*parts(package.changes)]
        if change.package.kind == DPKG and status is not None and change.package.name in status.order:
            members.append(_stanza(status, change.package.name))
        old, new = (side.version if side is not None else "" for side in (change.old, change.new))
        name = change.package.name.partition(":")[0] if change.package.kind == DPKG else change.package.name
        yield Group(_KINDS[change.package.kind], name, tuple(members), old, new)


def _with_debians(store: Store, trees: tuple[Digest, Digest], groups: list[Group]) -> list[Group]:
    """Put the distributions and modules that Debian packages bring into the groups of those."""
    places = {
        path: number
        for number, group in enumerate(groups)
        for path in (part.path for part in group.parts if isinstance(part, PathPart))
        if group.kind in (PYTHON, NODE) and path.startswith(_OF_DEBIAN) and path.endswith(_RECORDS)
    }
    debian = {group.name: number for number, group in enumerate(groups) if group.kind == DEBIAN}
    if not places or not debian:
        return groups
    joined: dict[int, int] = {}
    for tree in trees:
        for path, name in owners_of(store, tree, places).items():
            if name in debian:
                joined[places[path]] = debian[name]
    members: dict[int, list[Part]] = {}
    for number, target in joined.items():
        members.setdefault(target, []).extend(groups[number].parts)
    return [
        group.replace(parts=(*group.parts, *members.get(number, ())))
        for number, group in enumerate(groups)
        if number not in joined
    ]


def _stanza(status: StatusChanges, name: str) -> StanzaPart:
    return StanzaPart(name, status.old.get(name, ""), status.new.get(name, ""))


def _record_name(path: bytes) -> str:
    """Return what a package manager's own file is grouped under: its directory, if that is one of records alone."""
    parts = path.split(b"/")
    return shown_path(b"/".join(parts[:3]) if parts[0] == b"var" else path)
