"""The store: one directory with everything that envbuild keeps, put together from its parts."""

from __future__ import annotations

import os
import time

from envbuild.contexts import contextmanager
from envbuild.store.clocks import Clocks
from envbuild.store.database import Database, StoreDamaged, StoreUnusable, lock_store, share_store
from envbuild.store.images import Images, sync_file_system
from envbuild.store.missing_objects import Lost
from envbuild.store.owner import close_to_others
from envbuild.store.projects import Projects
from envbuild.store.promised import Promised
from envbuild.store.step_cache import Memo, Stats, Steps
from envbuild.store.tags import Tags
from envbuild.store.trees import StoredTrees
from envbuild.tree.entry import DIRECTORY, FILE, Digest, object_id
from envbuild.tree.lookup import lookup, root_entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType
    from typing import Self

    from envbuild.store.blobs import Blobs
    from envbuild.store.objects import Objects
    from envbuild.store.run_records import RunRecords
    from envbuild.store.signatures import Signatures
    from envbuild.store.snapshot import Snapshot
    from envbuild.store.stacks import Stacks
    from envbuild.store.tree_builder import TreeBuilder
    from envbuild.store.work_area import WorkArea, Workspace
    from envbuild.tree.patterns import Matcher
    from envbuild.tree.times import StepTimes

SYNCED = "synced"
"""Under which the database remembers when all was last on disk, in nanoseconds since 1970."""
_SIZE = "size"
MANY_FILES = 3000
"""So many make a tree a large one."""
FOLDERS = ("objects", "layers", "work", "caches", "packages")


class Store:
    """One store. Open it with `Store.open`, as a context manager or with `close` in the end.

    `sparse_limit` is how many bytes that nobody wrote a step or an instance may leave (sparse_files.py), None for the
    usual limit. What files need is loaded when it is first used: a rebuild with nothing to do needs only the database.
    """

    def __init__(self, path: str, database: Database) -> None:
        self.path = path
        self.database = database
        self.lost = Lost(database)
        self.trees = StoredTrees(database, self.lost)
        self.steps = Steps(database)
        self.memo = Memo(database)
        self.clocks = Clocks(database, self.trees)
        self.stats = Stats(database)
        self.projects = Projects(database)
        self.tags = Tags(database, self.projects, self.sync)
        self.images = Images(database)
        self.promised = Promised(database)
        self.sparse_limit: int | None = None
        self._work: WorkArea | None = None
        self._objects: Objects | None = None
        self._stacks: Stacks | None = None
        self._lock = -1

    @classmethod
    def open(cls, path: str, *, create: bool = True, writable: bool | None = None) -> Store:
        """Return the store in this directory, made if it isn't there and `create` says so.

        `writable` is whether the user may write it, None to find out: for a process that is root of a namespace by
        now, and may write what the user may not. What can't be written is opened for reading. Raises StoreUnusable,
        StoreTooNew and StoreDamaged.
        """
        database = Database(path, create=create, writable=writable)
        if not database.read_only:
            try:
                close_to_others(path)
                for folder in FOLDERS:
                    if not os.path.isdir(f"{path}/{folder}"):
                        os.makedirs(f"{path}/{folder}", mode=0o700, exist_ok=True)
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
        """End the use of the store by this process."""
        if self._stacks is not None:
            self._stacks.close()
        if self._work is not None:
            self._work.release()
        self.database.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    @property
    def work(self) -> WorkArea:
        """Where what is being made lies until it is whole."""
        if self._work is None:
            from envbuild.store.work_area import WorkArea

            self._work = WorkArea(f"{self.path}/work")
        return self._work

    @property
    def objects(self) -> Objects:
        """The contents of files."""
        if self._objects is None:
            from envbuild.store.objects import Objects

            self._objects = Objects(f"{self.path}/objects", self.work, self.lost, self.promised)
        return self._objects

    @property
    def stacks(self) -> Stacks:
        """The layers that trees are mounted from."""
        if self._stacks is None:
            from envbuild.store.occurrences import Occurrences
            from envbuild.store.stacks import Stacks

            self._stacks = Stacks(
                f"{self.path}/layers", self.database, self.trees, self.objects, Occurrences(self.trees), self.work
            )
        return self._stacks

    @property
    def blobs(self) -> Blobs:
        """The layers that were exported."""
        from envbuild.store.blobs import Blobs

        return Blobs(f"{self.path}/blobs", self.memo)

    @property
    def signatures(self) -> Signatures:
        """The signatures of images."""
        from envbuild.store.signatures import Signatures

        return Signatures(f"{self.path}/signatures")

    @property
    def runs(self) -> RunRecords:
        """What runs of steps read."""
        from envbuild.store.run_records import RunRecords

        return RunRecords(self.database)

    @property
    def packages_path(self) -> str:
        """The directory with the files of packages, each under its hash."""
        return f"{self.path}/packages"

    @property
    def owners_observable(self) -> bool:
        """Whether files in the store have the owners that their trees say. Set to False for a single id."""
        return self.objects.owners

    @owners_observable.setter
    def owners_observable(self, value: bool) -> None:
        self.objects.owners = value

    def share(self) -> None:
        """Say that this process uses the store until it closes it: nothing is collected meanwhile."""
        if self._lock < 0 and not self.database.read_only:
            self._lock = share_store(self.path)

    @contextmanager
    def alone(self, *, wait: bool) -> Iterator[None]:
        """Keep everybody else out. Raises StoreInUse if others are in and `wait` is False."""
        with lock_store(self.path, wait=wait):
            yield

    def tidy(self) -> None:
        """Remove what commands that were killed left behind."""
        self.work.tidy()

    def layers(self, tree: Digest, near: Sequence[Digest] = ()) -> tuple[str, ...]:
        """Return directories that overlayfs can mount as `tree`, topmost first (see stacks.py)."""
        return self.stacks.layers(tree, near)

    def bring(self, tree: Digest) -> None:
        """Have all contents of a tree in the pool that a light capture only promised. Raises ContentPromised."""
        if self.promised.any():
            self.objects.bring(self.trees, tree)

    @contextmanager
    def workspace(self, tree: Digest) -> Iterator[Workspace]:
        """Yield a workspace whose `upper` looks like the root of `tree`, for a command that is run on it."""
        from envbuild.linux.attributes import apply_attributes

        with self.work.workspace() as space:
            # The root's own attributes are shown from the topmost directory.
            apply_attributes(space.upper, root_entry(self.trees, tree), owners=self.owners_observable)
            yield space

    def snapshot(
        self,
        space: Workspace,
        parent: Digest,
        *,
        times: StepTimes,
        discard: Matcher | None = None,
        made: Sequence[str] = (),
        deadline: float | None = None,
    ) -> Snapshot:
        """Return the tree that a command left in a workspace (see snapshot.py), read until `deadline`
        (time.monotonic)."""
        from envbuild.linux.sparse_files import Allowance  # only where steps run
        from envbuild.store import snapshot

        return snapshot.take(
            space.upper,
            parent,
            times=times,
            discard=discard,
            made=made,
            owners_observable=self.owners_observable,
            database=self.database,
            trees=self.trees,
            objects=self.objects,
            occurrences=self.stacks.occurrences,
            stacks=self.stacks,
            allowance=Allowance(self.sparse_limit, deadline),
        )

    def begin_check(self, tree: Digest) -> None:
        """Begin to check the layers of a tree that is about to be mounted. If it is known to be large, as images that
        were built are, the check may go on when it is mounted (`stacks.late`). In a small one damage is mended before.
        """
        known = self._known_size(tree)
        self.stacks.check_ahead(tree, late=known is not None and known[0] >= MANY_FILES)

    def take_notes(self) -> list[str]:
        """Return what was mended since this was last asked, in words."""
        if self._stacks is None:
            return []
        notes, self._stacks.mended = self._stacks.mended, []
        return notes

    def leads_to_lost(self, tree: Digest) -> bool:
        """Tell whether anything in a tree was found damaged and is not there again: it is as if the tree were not
        kept."""
        lost = self.lost.identities()
        if not lost:
            return False
        self.lost.forget_found(
            lambda identity: os.path.exists(self.objects.where(identity)) or self.trees.has(identity)
        )
        if not lost:
            return False
        pending = [tree]
        seen = set()
        while pending:
            digest = pending.pop()
            if digest in lost or not self.trees.has(digest):
                return True
            if digest not in seen:
                seen.add(digest)
                try:
                    entries = self.trees.load(digest)
                except StoreDamaged:
                    return True
                for entry in entries:
                    if entry.kind == FILE and object_id(entry) in lost:
                        return True
                    if entry.kind == DIRECTORY and entry.digest:
                        pending.append(entry.digest)
        return False

    def read_file(self, tree: Digest, path: str, most: int | None = None) -> bytes | None:
        """Return the content of the file at `path` of a tree, where links lead within the tree; None if there is no
        file. Raises TooLargeToRead for more bytes than `most`, LinkCircle and StoreDamaged."""
        entry = lookup(self.trees, tree, path.encode("utf-8", "surrogateescape"))
        if entry is None or entry.kind != FILE:
            return None
        return self.objects.read(entry) if most is None else self.objects.read(entry, most)

    def read_text(
        self, tree: Digest, path: str, most: int | None = None, *, errors: str = "surrogateescape"
    ) -> str | None:
        """Return the text of the file at `path` of a tree, as `read_file` its content; bytes that are not UTF-8 are
        what `errors` makes of them (bytes.decode)."""
        content = self.read_file(tree, path, most)
        return None if content is None else content.decode("utf-8", errors)

    def builder(self) -> TreeBuilder:
        """Return a builder for a tree that is put together from entries, such as a base."""
        from envbuild.store.tree_builder import TreeBuilder

        return TreeBuilder(self.trees, self.objects)

    def size(self, tree: Digest, near: Sequence[Digest] = ()) -> tuple[int, int]:
        """Return how many files a tree has, and their bytes together. Remembered, as a tree never changes.

        `near` are trees like this one, the likest first: the first whose size is known is counted on from.
        """
        known = self._known_size(tree)
        if known is None:
            known = self._count(tree, near)
            self.memo.put(_SIZE, tree, b"%d %d" % known)
        return known

    def _known_size(self, tree: Digest) -> tuple[int, int] | None:
        known = self.memo.get(_SIZE, tree)
        if known is None:
            return None
        files, size = known.split()
        return int(files), int(size)

    def _count(self, tree: Digest, near: Sequence[Digest]) -> tuple[int, int]:
        from envbuild.tree.size import size_difference, size_of  # not for a tree whose size is known

        for like in near:
            known = self._known_size(like)
            if known is not None:
                files, total = size_difference(self.trees, like, tree)
                return known[0] + files, known[1] + total
        return size_of(self.trees, tree)

    def register_lock(self, path: str, keys: Sequence[str], trees: Sequence[Digest]) -> None:
        """Say that a lock file names these steps and trees: they are kept as long as the file is there."""
        self.database.write(
            "INSERT OR REPLACE INTO locks VALUES (?, ?, ?)", (path, " ".join(keys), " ".join(dict.fromkeys(trees)))
        )

    def is_registered(self, path: str, keys: Sequence[str]) -> bool:
        """Tell whether the lock file is registered with these steps."""
        return self.database.row("SELECT keys FROM locks WHERE path = ?", (path,)) == (" ".join(keys),)

    def knows_lock(self, path: str) -> bool:
        """Tell whether a lock file is registered."""
        return self.database.row("SELECT 1 FROM locks WHERE path = ?", (path,)) is not None

    def sync(self) -> None:
        """Write all that is in the store to disk before it returns."""
        layers = self.database.rows("SELECT tree FROM stacks WHERE synced = 0")
        now = time.time_ns()
        self.database.checkpoint()
        sync_file_system(self.path)
        self.database.write_many("UPDATE stacks SET synced = 1 WHERE tree = ?", layers)
        self.memo.put(SYNCED, "", b"%d" % now)
