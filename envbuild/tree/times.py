"""The times of files in a tree: a clock that goes on with what steps write, and that every machine reads alike.

Programs take a file's time for an answer to two questions. make, ninja and cargo ask which of two files is the later
one; a web server, its clients and Python ask whether a file is still the same. One constant time for all files answers
both wrongly. So the clock of a tree is its latest file, and what a step writes is later than that; and where no order
counts, the time of a file follows from its content. Everything here is a function of trees and contents: not of the
machine's clock, and not of the steps that led to a tree.

Counted from the epoch, time has windows of 1,000 seconds. In the first 100 each step has one of its own. The rest is
for files of the kinds that web servers send, which have a place in it by their content; whatever comes after them
begins with a new window, so that a content decides nothing but the time of its own file. All of this is soon after the
epoch, as programs do not expect files of the future.
"""

from __future__ import annotations

from envbuild.record import Record
from envbuild.tree.entry import DIRECTORY, FILE, Digest, Entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Protocol

    from envbuild.tree.lookup import Trees
else:
    Protocol = object  # importing typing takes 2 ms of every start

SECOND = 1_000_000_000
_DIGITS = 5
SPREAD = 16**_DIGITS
"""Seconds before the epoch, twelve days of them, that files have their times in where nothing was written yet."""
WINDOW, WRITTEN = 1000, 100
_SERVED = frozenset(
    b"atom avif css csv gif gz htm html ico jpeg jpg js json map md mjs mp3 mp4 ogg pdf png rss svg ttf txt wasm webm"
    b" webmanifest webp woff woff2 xhtml xml zip".split()
)
"""Suffixes of files that web servers send: their clients ask for a change by time and size."""
_NOT_SERVED = b"CMake"
"""How texts begin that CMake compares the times of with those that it made of them."""


class KnownTimes(Protocol):
    """What is known of directories already."""

    def get(self, directory: Digest) -> int | None:
        """Return the time of the latest file in a directory, None if it is not known."""


class Clock(Record):
    """The time of a tree: `epoch` in seconds, `latest` in nanoseconds, that of its latest file."""

    epoch: int
    latest: int

    def written(self, name: bytes, digest: Digest) -> int:
        """Return the time (nanoseconds) of a file that a step writes on this tree: later than all that is there, so
        that whatever was made of another file in its place is out of date."""
        seconds = self._next()
        if name.rpartition(b".")[2].lower() in _SERVED and not name.startswith(_NOT_SERVED):
            seconds += WRITTEN - seconds % WINDOW + _number(digest) % (WINDOW - WRITTEN)
        return (self.epoch + seconds) * SECOND

    @property
    def name(self) -> str:
        """What two clocks have in common that give all files the same times."""
        return f"{self.epoch}+{self._next()}"

    @property
    def end(self) -> int:
        """The epoch, or the time of the latest file if that is later, in nanoseconds."""
        return max(self.latest, self.epoch * SECOND)

    def copied(self, name: bytes, digest: Digest) -> int:
        """Return the time of a file with this content that a step puts where none was."""
        if self.latest <= self.epoch * SECOND:
            return content_time(self.epoch, digest)
        return self.written(name, digest)

    def _passed(self) -> int:
        """Return the seconds since the epoch, a part of one as a whole one."""
        return max(0, -(-self.latest // SECOND) - self.epoch)

    def _next(self) -> int:
        passed = self._passed()
        return passed + 1 if passed % WINDOW < WRITTEN - 1 else (passed // WINDOW + 1) * WINDOW


class StepTimes:
    """The times of the files that a command left.

    `clock` is that of the tree it ran on, None for commands that install packages: the times of those files are the
    packages' own, and none is later than the epoch. The command ran from `started` to `ended` (nanoseconds of this
    machine's clock, which may be years behind the tree's or before it). `shown` are the true
    times of files that the command saw with other times, by the time that it saw and the content.

    What it was asked so far is kept for a later command that may leave the same on another tree (tree/rebase.py):
    `aimed` is the earliest time of a file that was set on purpose and is later than the clock, 0 for none, and `kept`
    whether a file that was written again kept its time.
    """

    def __init__(
        self,
        epoch: int,
        clock: Clock | None,
        started: int,
        ended: int,
        shown: Mapping[tuple[int, Digest], int] | None = None,
    ) -> None:
        self.epoch = epoch * SECOND
        self._clock = clock
        self._started = started
        self._ended = ended
        self._shown = shown or {}
        self.aimed = 0
        self.kept = False

    @property
    def clocked(self) -> bool:
        """Whether times of files come from a clock."""
        return self._clock is not None

    def of_the_run(self, mtime: int) -> bool:
        """Return whether a time on disk is one of the command's run."""
        return self._started <= mtime <= self._ended

    def of(self, name: bytes, mtime: int, digest: Digest, before: Entry | None) -> int:
        """Return the time of a file in the snapshot; on disk it has `mtime`. `before` is what was at its path."""
        clock = self._clock
        if clock is None:
            return self.of_others(mtime)
        true = self._shown.get((mtime, digest))
        if true is not None:
            return before.mtime if before is not None and before.digest == digest else true
        if not self.of_the_run(mtime):
            if mtime <= clock.end:
                return mtime  # set on purpose: unpacked, copied with its time, touched to a date
            self.aimed = min(mtime, self.aimed or mtime)
        if before is not None and before.kind == FILE and before.digest == digest and before.mtime >= clock.latest:
            self.kept = True
            return before.mtime  # written again as it was, and nothing is later that it could be made of
        return clock.written(name, digest)

    def of_others(self, mtime: int) -> int:
        """Return the time of what is no file, in the snapshot: never later than the epoch, also where that is still to
        come."""
        return self.epoch if self.of_the_run(mtime) else min(mtime, self.epoch)


UNCHANGED = StepTimes(1 << 33, None, 1, 0)
"""All times as they are, of which the latest that a file system keeps is in 2242."""


def content_time(epoch: int, digest: Digest) -> int:
    """Return a time (nanoseconds) before the epoch that follows from a content: other content has another time."""
    before = int(digest[:_DIGITS], 16)
    if epoch <= SPREAD:  # no time is before 1970
        return (epoch - 1 - before % epoch) * SECOND if epoch > 0 else epoch * SECOND
    return (epoch - 1 - before) * SECOND


def latest(trees: Trees, tree: Digest, known: KnownTimes) -> dict[Digest, int]:
    """Return the time of the latest file (nanoseconds; 0 for none) in `tree` and in each directory of it that `known`
    does not have. Nothing below a known directory is loaded."""
    times: dict[Digest, int] = {}
    pending = [tree]
    while pending:
        digest = pending[-1]
        if digest in times:
            pending.pop()
            continue
        later = 0
        missing = []
        for entry in trees.load(digest):
            if entry.kind == FILE:
                later = max(later, entry.mtime)
            elif entry.kind == DIRECTORY and entry.digest:
                inner = times.get(entry.digest)
                if inner is None:
                    inner = known.get(entry.digest)
                if inner is None:
                    missing.append(entry.digest)
                else:
                    later = max(later, inner)
        if missing:
            pending += missing
            continue
        times[digest] = later
        pending.pop()
    return times


def _number(digest: Digest) -> int:
    return int(digest[:12], 16)
