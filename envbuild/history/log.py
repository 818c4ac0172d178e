"""The log of a name: each move, what changed with it, and the earlier moves that led the image there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

from envbuild.history.build_commits import BuildCommits
from envbuild.images.names import Name, locate, no_such_tag
from envbuild.images.reference import LATEST, parse_name
from envbuild.record import Record
from envbuild.store.project import Project, split_project
from envbuild.store.store import Store
from envbuild.store.tags import BUILD, COMMIT, PROMOTE, TAG, HistoryEntry
from envbuild.text.dates import iso, iso_exact
from envbuild.tree.entry import Digest


class LogEntry(Record):
    """A move of a tag. `back` is its number in `NAME@{N}`. `change` is one line on what changed since the entry before,
    "" if that is unknown. `route` are the earlier moves that led the image here, from its build on. `commit` is the
    commit of the build, and `committed` says whether it has the recipe as it was built. `moment` is its time as
    `NAME@{TIME}` takes it: with a fraction if another entry is in the same second. The names in `entry` and `route` are
    as people write them anywhere, `project` is that of the tag, None outside of all."""

    back: int
    entry: HistoryEntry
    in_store: bool
    change: str
    route: tuple[HistoryEntry, ...]
    commit: str = ""
    committed: bool = False
    moment: str = ""
    project: Project | None = None


_NAMED = (TAG, PROMOTE)
"""Moves to an image that had another name before."""
Changed = Callable[[Digest, Digest], str]


def log(store: Store, reference: str, changed: Changed | None, folder: str = ".") -> Iterator[LogEntry]:
    """Yield the moves of NAME or NAME:TAG, as `folder` has the name, newest first, each computed when it is needed.
    Raises NoSuchTag and what `locate` raises.

    `changed` returns one line on what changed from one image to another (oneline.py); without it neither that nor the
    commits are looked up.
    """
    name, tag = tag_with_history(store, reference, folder)
    return _entries(store, name, tag, changed)


def tag_with_history(store: Store, reference: str, folder: str) -> Name:
    """Return the tag that NAME or NAME:TAG means in `folder`. Raises NoSuchTag for one without a history, and what
    `locate` raises."""
    parsed = parse_name(reference)
    tag = locate(store, parsed, folder)
    if store.tags.length(*tag) == 0:
        raise no_such_tag(store, parsed, tag, folder)
    return tag


def _entries(store: Store, name: str, tag: str, changed: Changed | None) -> Iterator[LogEntry]:
    waiting: list[HistoryEntry] = []
    back = 0
    newer: float | None = None
    with BuildCommits() as commits:
        for entry in store.tags.history(name, tag):
            # An entry that removed the tag has nothing to compare: its image is compared with the one before that.
            if entry.image is not None:
                for later, older in pairwise([*waiting, entry]):
                    moment = _moment(later.moved, newer, older.moved)
                    newer = later.moved
                    yield _entry(store, commits, back, later, entry.image, changed).replace(moment=moment)
                    back += 1
                waiting = []
            waiting.append(entry)
        for oldest, before in zip(waiting, [*(older.moved for older in waiting[1:]), None], strict=True):
            moment = _moment(oldest.moved, newer, before)
            newer = oldest.moved
            yield _entry(store, commits, back, oldest, None, changed).replace(moment=moment)
            back += 1


def _moment(moved: float, *neighbours: float | None) -> str:
    """Return the time of an entry so that it names no neighbour of it."""
    same = any(other is not None and int(other) == int(moved) for other in neighbours)
    return iso_exact(moved) if same else iso(moved)


def _entry(
    store: Store, commits: BuildCommits, back: int, entry: HistoryEntry, before: Digest | None, changed: Changed | None
) -> LogEntry:
    project = store.projects.get(split_project(entry.name)[0])
    shown = entry.replace(name=store.projects.shown(entry.name))
    if entry.image is None:
        return LogEntry(back, shown, False, "", (), project=project)
    change = changed(before, entry.image) if changed is not None and before is not None else ""
    route = route_of(store, entry) if entry.action in _NAMED else ()
    build = route[0] if route else entry
    commit, committed = commits.of(build) if changed is not None and build.action.startswith(BUILD) else ("", False)
    way = tuple(move.replace(name=store.projects.shown(move.name)) for move in route)
    in_store = store.images.get(entry.image) is not None
    return LogEntry(back, shown, in_store, change, way, commit, committed, project=project)


def route_of(store: Store, entry: HistoryEntry) -> tuple[HistoryEntry, ...]:
    """Return the moves that led an image to this entry: the build that made it, then each tag that it got since, oldest
    first, without the entry itself."""
    assert entry.image is not None
    moves = [move for move in store.tags.way_of(entry.image, entry.number) if move.number < entry.number]
    route: list[HistoryEntry] = []
    looked_for = entry
    while looked_for.action in _NAMED:
        source = str(looked_for.known.get("source", ""))
        earlier = [move for move in moves if move.number < looked_for.number]
        name = source.partition("@")[0]
        near = [move for move in earlier if split_project(move.name)[0] == split_project(looked_for.name)[0]]
        named = [move for move in near if _means(name, split_project(move.full)[1])] or near or earlier
        if not named:
            break
        looked_for = next((move for move in reversed(named) if move.action in (*_NAMED, BUILD, COMMIT)), named[-1])
        route.insert(0, looked_for)
    return tuple(route)


def _means(text: str, full: str) -> bool:
    """Return whether a text that a user wrote, with a project or without, can mean a tag of this full name."""
    return text.rpartition("/")[2] in (full, full.removesuffix(f":{LATEST}")) or text == full
