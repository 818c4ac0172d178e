"""Where a name has been: each move, what is known of it, what changed, and the way by which the image came there."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from envbuild.history.build_commits import Commits
from envbuild.record import Record
from envbuild.store.image_reference import LATEST, split_name
from envbuild.store.store import Store
from envbuild.store.tags import BUILD, COMMIT, TAG, HistoryEntry, NoSuchTag
from envbuild.tree.entry import Digest


class LogEntry(Record):
    """One move of a tag. `back` is its number in `NAME@{N}`; `change` one line on what changed against the entry
    before, "" where nobody knows; `way` the earlier moves that led the image here, from its build on; `commit` is
    that of the build, and `committed` says whether it has the recipe as it was built."""

    back: int
    entry: HistoryEntry
    in_store: bool
    change: str
    way: tuple[HistoryEntry, ...]
    commit: str = ""
    committed: bool = False


Changed = Callable[[Digest, Digest], str]


def log(store: Store, reference: str, changed: Changed | None) -> Iterator[LogEntry]:
    """The moves of NAME or NAME:TAG, the newest first, each made when it is asked for. Raises NoSuchTag.

    `changed` says in one line what changed from one image to another (summary.py); without it neither that nor the
    commits are looked for.
    """
    name, tag = split_name(reference)
    if store.tags.length(name, tag) == 0:
        raise NoSuchTag(f"{name}:{tag}", [f"{one}:{other}" for one, other in store.tags.with_history()])
    return _entries(store, name, tag, changed)


def _entries(store: Store, name: str, tag: str, changed: Changed | None) -> Iterator[LogEntry]:
    waiting: list[HistoryEntry] = []
    back = 0
    with Commits() as commits:
        for entry in store.tags.history(name, tag):
            # An entry that took the tag away has nothing to compare: an image is compared with the one before that.
            if entry.image is not None:
                for one in waiting:
                    yield _entry(store, commits, back, one, entry.image, changed)
                    back += 1
                waiting = []
            waiting.append(entry)
        for one in waiting:
            yield _entry(store, commits, back, one, None, changed)
            back += 1


def _entry(
    store: Store, commits: Commits, back: int, entry: HistoryEntry, before: Digest | None, changed: Changed | None
) -> LogEntry:
    if entry.image is None:
        return LogEntry(back, entry, False, "", ())
    change = changed(before, entry.image) if changed is not None and before is not None else ""
    way = way_of(store, entry) if entry.action == TAG else ()
    build = way[0] if way else entry
    commit, committed = commits.of(build) if changed is not None and build.action.startswith(BUILD) else ("", False)
    return LogEntry(back, entry, store.images.get(entry.image) is not None, change, way, commit, committed)


def way_of(store: Store, entry: HistoryEntry) -> tuple[HistoryEntry, ...]:
    """The moves that led an image to this entry: the build that it came from, and each tag that it was given on the way
    from there, the oldest first; the entry itself is not among them."""
    assert entry.image is not None
    moves = [one for one in store.tags.way_of(entry.image, entry.number) if one.number < entry.number]
    way: list[HistoryEntry] = []
    looked_for = entry
    while looked_for.action == TAG:
        source = str(looked_for.known.get("source", ""))
        earlier = [one for one in moves if one.number < looked_for.number]
        name = source.partition("@")[0]
        named = [one for one in earlier if name in (one.full, one.full.removesuffix(f":{LATEST}"))] or earlier
        if not named:
            break
        looked_for = next((one for one in reversed(named) if one.action in (TAG, BUILD, COMMIT)), named[-1])
        way.insert(0, looked_for)
    return tuple(way)
