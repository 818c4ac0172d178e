"""A model of a command on a tree: what it reads and writes, and the tree that it leaves, without a kernel.

It follows what overlayfs and store/snapshot.py make of a run, in the simplest way: a dictionary by path.
"""

from __future__ import annotations

from hashlib import sha256

from envbuild.trace.reads import ABSENT, ATTRIBUTES, CONTENT, LISTING, RIGHTS, Reads
from envbuild.tree.entry import DIRECTORY, FILE, ROOT_NAME, Digest, Entry
from envbuild.tree.lookup import MemoryTrees, root_entry, walk
from envbuild.tree.rebase import Touched
from envbuild.tree.times import SECOND, Clock, StepTimes, latest

EPOCH = 1000
STARTED, NOW, ENDED = 5000 * SECOND, 5001 * SECOND, 5002 * SECOND
"""When commands run, by the machine's clock."""
ROOT = b""


class Machine:
    """A tree that a command works on. Each method is a system call; those that fail change nothing."""

    def __init__(self, trees: MemoryTrees, parent: Digest) -> None:
        self.trees = trees
        self.parent = parent
        self.before = {ROOT: root_entry(trees, parent), **dict(walk(trees, parent))}
        self.now = dict(self.before)
        self.reads: dict[bytes, int] = {}
        self.upper: set[bytes] = set()
        self.anew: set[bytes] = set()

    def write(self, path: bytes, content: bytes) -> None:
        there = self._at(path, RIGHTS)
        if self._is_directory(_above(path)) and (there is None or there.kind == FILE):
            old = there or Entry(_name(path), FILE, 0o644, 0, 0, 0)
            digest = sha256(content).hexdigest()
            self._put(path, old._replace(mtime=NOW, size=len(content), digest=digest), stamps=there is None)

    def copy(self, source: bytes, path: bytes, *, with_time: bool) -> None:
        entry = self._at(source, CONTENT)
        there = self._at(path, RIGHTS)
        if entry is None or entry.kind != FILE or (there is not None and there.kind != FILE):
            return
        if self._is_directory(_above(path)):
            mtime = entry.mtime if with_time else NOW
            self._put(path, entry._replace(name=_name(path), mtime=mtime), stamps=there is None)

    def mkdir(self, path: bytes) -> None:
        if self._at(path, RIGHTS) is None and self._is_directory(_above(path)):
            if path in self.before and self.before[path].kind == DIRECTORY:
                self.anew.add(path)
            self._put(path, Entry(_name(path), DIRECTORY, 0o755, 0, 0, NOW), stamps=True)

    def remove(self, path: bytes) -> None:
        there = self._at(path, RIGHTS)
        if there is None or path == ROOT:
            return
        if there.kind == DIRECTORY:
            self._note(path, LISTING)
            if any(_above(other) == path for other in self.now if other != ROOT):
                return
        del self.now[path]
        self._copy_up(_above(path), stamps=True)

    def change_mode(self, path: bytes, mode: int) -> None:
        if (there := self._at(path, RIGHTS)) is not None:
            self._put(path, there._replace(mode=mode), stamps=False)

    def set_time(self, path: bytes, mtime: int) -> None:
        if (there := self._at(path, RIGHTS)) is not None:
            self._put(path, there._replace(mtime=mtime), stamps=False)

    def copy_time(self, source: bytes, path: bytes) -> None:
        entry = self._at(source, ATTRIBUTES)
        if entry is not None:
            self.set_time(path, entry.mtime)

    def list_into(self, source: bytes, path: bytes) -> None:
        entry = self._at(source, LISTING)
        if entry is not None and entry.kind == DIRECTORY:
            self._note(source, LISTING)
            names = sorted(_name(other) for other in self.now if other != ROOT and _above(other) == source)
            self.write(path, b" ".join(names))

    # What comes of it

    @property
    def clock(self) -> Clock:
        return clock_of(self.trees, self.parent)

    def leave(self) -> tuple[Digest, Touched, Reads]:
        """Return the tree that is left, what else was done to the one before, and what was read of that."""
        times = StepTimes(EPOCH, self.clock, STARTED, ENDED)
        final: dict[bytes, Entry] = {}
        unchanged, stamped = [], []
        for path, entry in self.now.items():
            if path not in self.upper:
                final[path] = entry
                continue
            hidden = any(path.startswith(above + b"/") for above in self.anew)
            old = None if hidden else self.before.get(path)
            if entry.kind == FILE:
                final[path] = entry._replace(mtime=times.of(entry.name, entry.mtime, entry.digest, old))
                if final[path] == old:
                    unchanged.append(path)
                continue
            if old is not None and old.kind == DIRECTORY and times.of_the_run(entry.mtime):
                stamped.append(path or ROOT_NAME)
            final[path] = entry._replace(mtime=times.of_others(entry.mtime), digest="")
        entered = [path or ROOT_NAME for path in self.upper if path in final and final[path].kind == DIRECTORY]
        replaced = [path for path in self.anew if path in final and final[path].kind == DIRECTORY]
        touched = Touched(
            tuple(unchanged), tuple(entered), tuple(stamped), tuple(replaced), times.aimed, times.kept, times.clocked
        )
        return self._save(final, ROOT), touched, Reads(dict(sorted(self.reads.items())))

    def _save(self, final: dict[bytes, Entry], directory: bytes) -> Digest:
        entries = []
        for path, entry in final.items():
            if path == ROOT or _above(path) != directory:
                continue
            entries.append(entry._replace(digest=self._save(final, path)) if entry.kind == DIRECTORY else entry)
        if directory == ROOT:
            entries.append(final[ROOT]._replace(name=ROOT_NAME, digest=""))
        return self.trees.save(entries)

    def _at(self, path: bytes, access: int) -> Entry | None:
        self._note(path, access)
        return self.now.get(path)

    def _note(self, path: bytes, access: int) -> None:
        """Note what is asked of the tree before, as the tracer does."""
        names = path.split(b"/") if path else []
        for depth in range(len(names)):
            prefix = b"/".join(names[: depth + 1])
            there = self.before.get(prefix)
            if there is None:
                self.reads[prefix] = ABSENT
                return
            if there.kind != DIRECTORY and depth < len(names) - 1:
                self.reads[prefix] = self.reads.get(prefix, 0) | RIGHTS
                return
        self.reads[path] = self.reads.get(path, 0) | access

    def _is_directory(self, path: bytes) -> bool:
        there = self.now.get(path)
        return there is not None and there.kind == DIRECTORY

    def _put(self, path: bytes, entry: Entry, *, stamps: bool) -> None:
        self.now[path] = entry
        self.upper.add(path)
        if path != ROOT:
            self._copy_up(_above(path), stamps=stamps)

    def _copy_up(self, directory: bytes, *, stamps: bool) -> None:
        if stamps:
            self.now[directory] = self.now[directory]._replace(mtime=NOW)
        while True:
            self.upper.add(directory)
            if directory == ROOT:
                return
            directory = _above(directory)


def clock_of(trees: MemoryTrees, tree: Digest) -> Clock:
    return Clock(EPOCH, latest(trees, tree, {})[tree])


def _above(path: bytes) -> bytes:
    return path.rpartition(b"/")[0]


def _name(path: bytes) -> bytes:
    return path.rpartition(b"/")[2] or ROOT_NAME
