"""The store: one folder with everything that envbuild keeps, put together from its parts."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType

from envbuild.errors import UsageError
from envbuild.store import snapshot
from envbuild.store.attributes import apply_attributes
from envbuild.store.builder import TreeBuilder
from envbuild.store.database import Database, StoreUnusable
from envbuild.store.images import Images, sync_file_system
from envbuild.store.objects import Objects
from envbuild.store.occurrences import Occurrences
from envbuild.store.records import Memo, Stats, Steps
from envbuild.store.snapshot import Snapshot
from envbuild.store.stacks import Stacks
from envbuild.store.trees import StoredTrees
from envbuild.store.work import WorkArea, Workspace
from envbuild.tree.entry import DIRECTORY, FILE, Digest
from envbuild.tree.forest import root_entry, walk
from envbuild.tree.patterns import Matcher

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

FOLDERS = ("objects", "layers", "work", "caches")
LOCK_FILE = "lock"


class StoreInUse(UsageError):
    """The store is needed alone, and somebody else uses it."""

    def __init__(self) -> None:
        super().__init__("a build or an instance is using the store", "wait for it to end, then run this again")


class Store:
    """One store. Open it with `Store.open`, as a context manager or with `close` in the end."""

    def __init__(self, path: str, database: Database) -> None:
        self.path = path
        self.database = database
        self.trees = StoredTrees(database)
        self.steps = Steps(database)
        self.memo = Memo(database)
        self.stats = Stats(database)
        self.images = Images(database, self.sync)
        self.work = WorkArea(f"{path}/work")
        self.objects = Objects(f"{path}/objects", self.work)
        self._occurrences = Occurrences(self.trees)
        self.stacks = Stacks(f"{path}/layers", database, self.trees, self.objects, self._occurrences, self.work)
        self._lock = -1

    @classmethod
    def open(cls, path: str, *, create: bool = True) -> Store:
        """The store in this folder, made if it isn't there and `create` says so.

        Raises StoreUnusable, StoreTooNew and StoreDamaged. A folder that can't be written is opened for reading.
        """
        database = Database(path, create=create)
        if not database.read_only:
            try:
                for folder in FOLDERS:
                    if not os.path.isdir(f"{path}/{folder}"):
                        os.makedirs(f"{path}/{folder}", exist_ok=True)
            except OSError as error:
                raise StoreUnusable(path, str(error.strerror)) from error
        return cls(path, database)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the use of the store by this process."""
        self.work.release()
        self.database.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    @property
    def owners_observable(self) -> bool:
        """Whether files in the store have the owners that their trees say. Set to False for a single id."""
        return self.objects.owners

    @owners_observable.setter
    def owners_observable(self, value: bool) -> None:
        self.objects.owners = value

    def share(self) -> None:
        """Says that this process uses the store until it closes it: nothing is collected meanwhile."""
        if self._lock < 0 and not self.database.read_only:
            self._lock = self._open_lock()
            fcntl.flock(self._lock, fcntl.LOCK_SH)

    @contextmanager
    def alone(self, *, wait: bool) -> Iterator[None]:
        """Keeps everybody else out. Raises StoreInUse if others are in and `wait` is False."""
        descriptor = self._open_lock()
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                raise StoreInUse from None
            yield
        finally:
            os.close(descriptor)

    def tidy(self) -> None:
        """Removes what commands that were killed left behind."""
        self.work.tidy()

    def layers(self, tree: Digest, near: Sequence[Digest] = ()) -> tuple[str, ...]:
        """Directories that overlayfs can mount as `tree`, topmost first (see stacks.py)."""
        return self.stacks.layers(tree, near)

    @contextmanager
    def workspace(self, tree: Digest) -> Iterator[Workspace]:
        """A workspace whose `upper` looks like the root of `tree`, for a command that is run on it."""
        with self.work.workspace() as space:
            # The root's own attributes are shown from the topmost directory.
            apply_attributes(space.upper, root_entry(self.trees, tree), owners=self.owners_observable)
            yield space

    def snapshot(
        self,
        space: Workspace,
        parent: Digest,
        *,
        epoch: int,
        discard: Matcher | None = None,
        made: Sequence[str] = (),
    ) -> Snapshot:
        """The tree that a command left in a workspace (see snapshot.py)."""
        return snapshot.take(
            space.upper,
            parent,
            epoch=epoch,
            discard=discard,
            made=made,
            owners_observable=self.owners_observable,
            trees=self.trees,
            objects=self.objects,
            occurrences=self._occurrences,
            stacks=self.stacks,
        )

    def builder(self) -> TreeBuilder:
        """For a tree that is put together from entries, such as a base."""
        return TreeBuilder(self.trees, self.objects)

    def size(self, tree: Digest) -> tuple[int, int]:
        """How many files a tree has, and their bytes together. Remembered, as a tree never changes."""
        known = self.memo.get("size", tree)
        if known is not None:
            files, size = known.split()
            return int(files), int(size)
        files_counted = total = 0
        for _, entry in walk(self.trees, tree):
            if entry.kind != DIRECTORY:
                files_counted += 1
            if entry.kind == FILE:
                total += entry.size
        self.memo.put("size", tree, b"%d %d" % (files_counted, total))
        return files_counted, total

    def register_lock(self, path: str, keys: Sequence[str], trees: Sequence[Digest]) -> None:
        """Says that a lock file names these steps and trees: they are kept as long as the file is there."""
        self.database.write(
            "INSERT OR REPLACE INTO locks VALUES (?, ?, ?)", (path, " ".join(keys), " ".join(dict.fromkeys(trees)))
        )

    def is_registered(self, path: str, keys: Sequence[str]) -> bool:
        """Whether the lock file is registered with these steps."""
        return self.database.row("SELECT keys FROM locks WHERE path = ?", (path,)) == (" ".join(keys),)

    def sync(self) -> None:
        """Has all that is in the store on disk before it returns."""
        self.database.checkpoint()
        sync_file_system(self.path)

    def _open_lock(self) -> int:
        return os.open(f"{self.path}/{LOCK_FILE}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
