"""A command's changes on another tree than the one that it ran on: the tree that it would leave there.

The caller knows that the command reads nothing that differs between the two trees. So it would write the same there,
and what is left to find out is where that meets what differs, and which times its files would have (tree/times.py).
"""

from __future__ import annotations

from envbuild.record import Record
from envbuild.tree.apply import apply
from envbuild.tree.diff import Change, diff
from envbuild.tree.entry import DIRECTORY, FILE, ROOT_NAME, Digest, Entry
from envbuild.tree.lookup import entry_at, root_entry
from envbuild.tree.times import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from envbuild.tree.lookup import Trees
    from envbuild.tree.times import Clock

MAX_DEPTH = 400
"""Levels of new directories in which files get other times."""


class Touched(Record):
    """What a command did to the tree that it ran on and its changes do not show.

    `unchanged` are the files and links that it wrote and left as they were before, `entered` the directories that it
    changed nothing in after all. `stamped` are the directories of that tree whose times are of the run, since names in
    them came or went; `replaced` are those that it removed and made anew. `aimed` is the earliest time later than the
    tree's clock that it set on purpose (nanoseconds, 0 for none): on a later tree it might stay. `kept` is whether a
    file that was written again has its old time because nothing in the tree was later. `clocked` is False where no time
    comes from the tree's clock.
    """

    unchanged: tuple[bytes, ...] = ()
    entered: tuple[bytes, ...] = ()
    stamped: tuple[bytes, ...] = ()
    replaced: tuple[bytes, ...] = ()
    aimed: int = 0
    kept: bool = False
    clocked: bool = True


class Meets(Exception):
    """The changes can't be put on the other tree for certain; `path` is where, b"" where it is about times. Never
    leaves the build."""

    def __init__(self, path: bytes) -> None:
        super().__init__(path)
        self.path = path


class Run(Record):
    """A command that ran on the tree `parent`, whose clock was `clock`, and left `result`."""

    parent: Digest
    result: Digest
    touched: Touched
    clock: Clock


def rebase(trees: Trees, run: Run, onto: Digest, clock: Clock, alter: Callable[[Entry, Entry], Entry]) -> Digest:
    """Return the tree that the command of `run` leaves on the tree `onto`, whose clock is `clock`.

    `alter` is told of each file that gets another time, with the entry that it had and the new one. Raises Meets where
    both the command and what differs between the trees touch a path, or a time can't be known.
    """
    moved = list(diff(trees, run.parent, onto))
    if not moved:
        return run.result
    changes = list(diff(trees, run.parent, run.result))
    changes += _stamps(trees, run, changes, moved)
    if run.touched.clocked and clock != run.clock:
        times = _Times(trees, run, clock, alter)
        changes = [times.of_change(change) for change in changes]
    return apply(trees, changes, onto)


class _Times:
    """The times that files get on another tree."""

    def __init__(self, trees: Trees, run: Run, clock: Clock, alter: Callable[[Entry, Entry], Entry]) -> None:
        touched = run.touched
        if (touched.kept and clock.latest != run.clock.latest) or 0 < touched.aimed <= clock.end:
            raise Meets(b"")
        self._trees = trees
        self._was = run.clock
        self._clock = clock
        self._alter = alter
        self._replaced = frozenset(touched.replaced)

    def of_change(self, change: Change) -> Change:
        """Return the change with the times that its files have on the other tree."""
        after = change.after
        if after is None or after.kind not in (FILE, DIRECTORY) or _is_own(change):
            return change
        if after.kind == DIRECTORY:
            return change._replace(after=after._replace(digest=self._of_directory(after.digest, MAX_DEPTH)))
        made_anew = self._replaced and any(parent in self._replaced for parent in _above(change.path))
        return change._replace(after=self._of_file(after, None if made_anew else change.before))

    def _of_directory(self, directory: Digest, depth: int) -> Digest:
        if not depth:
            raise Meets(b"")
        entries = []
        for entry in self._trees.load(directory):
            if entry.kind == FILE:
                entry = self._of_file(entry, None)
            elif entry.kind == DIRECTORY and entry.digest:
                entry = entry._replace(digest=self._of_directory(entry.digest, depth - 1))
            entries.append(entry)
        return self._trees.save(entries)

    def _of_file(self, entry: Entry, before: Entry | None) -> Entry:
        """Return a file with its time (as StepTimes.of gives it)."""
        if entry.mtime <= min(self._was.end, self._clock.end):
            return entry  # set on purpose, or as it was
        if (
            before is not None
            and before.kind == FILE
            and before.digest == entry.digest
            and before.mtime >= self._clock.latest
        ):
            mtime = before.mtime
        else:
            mtime = self._clock.written(entry.name, entry.digest)
        return entry if mtime == entry.mtime else self._alter(entry, entry._replace(mtime=mtime))


def _stamps(trees: Trees, run: Run, changes: Sequence[Change], moved: Sequence[Change]) -> list[Change]:
    """Return the times that directories get from the command beside its `changes`. Raises Meets where these and what
    was `moved` meet."""
    by_path = {change.path: change for change in changes}
    whole = {path for path, change in by_path.items() if not _is_own(change)}
    whole.update(run.touched.unchanged, run.touched.replaced)
    entered = {*run.touched.entered, *(parent for path in (*by_path, *whole) for parent in _above(path))}
    stamped = frozenset(run.touched.stamped)
    stamps = []
    for change in moved:
        path = change.path
        if any(parent in whole for parent in _above(path)) or path.split(b"/", 1)[0] == b"tmp":
            raise Meets(path)  # in /tmp what was there before decides what is kept
        if not _is_own(change):
            if path in entered or path in by_path or path in whole:
                raise Meets(path)
            continue
        if path not in entered and path not in by_path and path not in whole:
            continue
        assert change.before is not None
        assert change.after is not None
        if change.before._replace(mtime=0) != change.after._replace(mtime=0, digest=change.before.digest):
            raise Meets(path)
        written = by_path.get(path)
        if path in stamped:
            left = _at(trees, run.result, path) if written is None else written.after
            assert left is not None
            if written is None:
                stamps.append(Change(path, change.after, left))
        elif written is None or written.before is None or written.after is None:
            raise Meets(path)
        elif written.before.mtime == written.after.mtime or written.after.mtime == run.clock.epoch * SECOND:
            # It has the time that it had, or was given the same on purpose; or it may be no later than the epoch.
            raise Meets(path)
    return stamps


def _is_own(change: Change) -> bool:
    """Tell whether a change is one of a directory's own attributes."""
    before, after = change.before, change.after
    return before is not None and after is not None and before.kind == after.kind == DIRECTORY


def _above(path: bytes) -> Iterator[bytes]:
    """Yield the directories that a path lies in; the root is ROOT_NAME."""
    if path == ROOT_NAME:
        return
    yield ROOT_NAME
    at = path.find(b"/")
    while at >= 0:
        yield path[:at]
        at = path.find(b"/", at + 1)


def _at(trees: Trees, root: Digest, path: bytes) -> Entry | None:
    return root_entry(trees, root) if path == ROOT_NAME else entry_at(trees, root, path)
