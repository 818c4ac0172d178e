"""The trees of a build that are only in a registry yet: read where only directories matter, and fetched where a step
runs on one, or where the image is one."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from io import BytesIO
from threading import RLock

from envbuild.build.bases import Bases
from envbuild.build.graph import Stage
from envbuild.build.named_inputs import parts_and_source
from envbuild.build.progress import SharedTreesLost
from envbuild.build.walk import PendingStep
from envbuild.digest import sha256_of
from envbuild.record import Record
from envbuild.sharing.cache_process import CacheGone, CacheProcess
from envbuild.sharing.pack_reader import Wanted, directory_of, take_contents, take_directories, wanted_of
from envbuild.sharing.shared_step import Part, SharedStep
from envbuild.sharing.tree_pack import BadPack, Index, read_index
from envbuild.store.network_record import NetworkRecord, NetworkRecords
from envbuild.store.step_cache import StepRecord
from envbuild.store.step_logs import OutputWriter
from envbuild.store.store import Store
from envbuild.tree.entry import EMPTY_CONTENT, Digest, Entry

_MAX_THREADS = 4


class _Offer(Record):
    """A record, and where it is from."""

    step: SharedStep
    process: CacheProcess


class _Taken(Record):
    """A step's record that the build uses, with the step and what is on record of its network."""

    step: SharedStep
    pending: PendingStep
    recipe: str
    network: NetworkRecord | None


class SharedTrees:
    """Trees by digest, each with what it has that the one before it lacks."""

    def __init__(self, store: Store, lock: RLock, warn: Callable[[CacheProcess, str], None]) -> None:
        self._store = store
        self._lock = lock
        self._warn = warn
        self._offers: dict[Digest, _Offer] = {}
        self._indexes: dict[Digest, Index] = {}
        self._steps: list[_Taken] = []
        self._bases: list[tuple[SharedStep, Stage, Bases, dict[str, object] | None]] = []

    def add_step(
        self, step: SharedStep, process: CacheProcess, pending: PendingStep, recipe: str, network: NetworkRecord | None
    ) -> Digest:
        """Take the record of a step, and return the digest of what it printed."""
        self._add(step, process)
        self._steps.append(_Taken(step, pending, recipe, network))
        return sha256_of(step.output) if step.output else EMPTY_CONTENT

    def add_base(
        self, step: SharedStep, process: CacheProcess, stage: Stage, bases: Bases, plain: dict[str, object] | None
    ) -> None:
        """Take the record of a base; `plain` is what is to be on record of it here, None for one that a lock names."""
        self._add(step, process)
        self._bases.append((step, stage, bases, plain))

    def directory(self, digest: Digest) -> tuple[Entry, ...] | None:
        """Return the entries of a directory of a tree that is only there yet, None if it is in none. Raises
        SharedTreesLost."""
        with self._lock:
            if digest in self._offers and digest not in self._indexes:
                self._load(self._chain(digest))
            return directory_of(tuple(self._indexes.values()), digest)

    def is_elsewhere(self, tree: Digest) -> bool:
        """Return whether a tree is not in the store, but may be fetched."""
        return tree in self._offers and not self._store.trees.has(tree)

    def ensure(self, trees: Sequence[Digest]) -> None:
        """Bring trees into the store, as the root of the user namespace. Raises SharedTreesLost."""
        with self._lock:
            for tree in trees:
                if self.is_elsewhere(tree):
                    self._fetch(tree)
            self._note()

    def _add(self, step: SharedStep, process: CacheProcess) -> None:
        if step.tree != step.parent and not self._store.trees.has(step.tree):
            self._offers.setdefault(step.tree, _Offer(step, process))

    def _chain(self, tree: Digest) -> list[_Offer]:
        """Return what leads to a tree, beginning with a tree that the store has, or with none."""
        chain: list[_Offer] = []
        while tree and not self._store.trees.has(tree):
            offer = self._offers.get(tree)
            if offer is None or len(chain) > len(self._offers):
                raise SharedTreesLost
            chain.append(offer)
            tree = offer.step.parent
        chain.reverse()
        return chain

    def _load(self, chain: list[_Offer]) -> None:
        """Bring the indexes of a chain."""
        missing = [offer for offer in chain if offer.step.tree not in self._indexes]
        with self._store.work.workspace() as space:
            paths = self._bring([(offer.process, offer.step.index) for offer in missing], space.path)
            for offer in missing:
                part = offer.step.index
                try:
                    self._indexes[offer.step.tree] = read_index(_content(part, paths))
                except BadPack as error:
                    self._lose(offer.process, str(error))

    def _fetch(self, tree: Digest) -> None:
        chain = self._chain(tree)
        self._load(chain)
        indexes = [self._indexes[offer.step.tree] for offer in chain]
        try:
            wanted = self._with_earlier(chain, indexes, wanted_of(self._store, indexes, tree))
            self._take(chain, indexes, wanted)
        except BadPack as error:
            for offer in chain:
                self._warn(offer.process, f"what it has of the tree {tree[:12]} is damaged: {error}")
            raise SharedTreesLost from error

    def _take(self, chain: list[_Offer], indexes: list[Index], wanted: Wanted) -> None:
        """Bring the contents that are wanted, and take them as they come: the next ones come meanwhile."""
        store = self._store
        numbers: dict[str, list[int]] = {}
        for number in wanted.files:
            blob = chain[number].step.contents.blob
            numbers.setdefault(blob.digest if blob is not None else "", []).append(number)
        with store.work.workspace() as space, ThreadPoolExecutor(_MAX_THREADS) as pool:
            taking: list[Future[None]] = []

            def take(digest: str, path: str) -> None:
                for number in numbers[digest]:
                    part = chain[number].step.contents
                    with open(path, "rb") if part.blob is not None else BytesIO(part.data) as file:
                        take_contents(store, indexes[number], wanted.files[number], file)

            def arrived(digest: str, path: str) -> None:
                taking.append(pool.submit(take, digest, path))

            if "" in numbers:
                arrived("", "")
            parts = [(chain[number].process, chain[number].step.contents) for number in wanted.files]
            self._bring(parts, space.path, arrived)
            for future in taking:
                future.result()
        take_directories(store, wanted)

    def _with_earlier(self, chain: list[_Offer], indexes: list[Index], wanted: Wanted) -> Wanted:
        """Return what is wanted with the trees on the way, as far as nothing more has to be fetched for them: then the
        next build finds them here."""
        directories, empty = dict(wanted.directories), dict.fromkeys(wanted.empty)
        files = {number: dict(contents) for number, contents in wanted.files.items()}
        for offer in chain[:-1]:
            try:
                earlier = wanted_of(self._store, indexes, offer.step.tree, directories)
            except BadPack:
                continue
            if any(number not in files and chain[number].step.contents.blob is not None for number in earlier.files):
                continue
            directories |= earlier.directories
            empty |= dict.fromkeys(earlier.empty)
            for number, contents in earlier.files.items():
                known = files.setdefault(number, {})
                for digest, entries in contents.items():
                    known[digest] = tuple(dict.fromkeys((*known.get(digest, ()), *entries)))
        return Wanted(directories, tuple(empty), files)

    def _bring(
        self,
        parts: list[tuple[CacheProcess, Part]],
        folder: str,
        arrived: Callable[[str, str], None] = lambda digest, path: None,
    ) -> dict[str, str]:
        """Bring the blobs of these parts, and return their paths by digest; `arrived` is told of each."""
        paths: dict[str, str] = {}
        asked: dict[CacheProcess, list[tuple[str, int, str]]] = {}
        for process, part in parts:
            if part.blob is not None and part.blob.digest not in paths:
                paths[part.blob.digest] = path = f"{folder}/{len(paths)}"
                asked.setdefault(process, []).append((part.blob.digest, part.blob.size, path))
        for process, blobs in asked.items():
            # The largest first, so that none is left alone in the end.
            blobs.sort(key=lambda blob: -blob[1])
            try:
                process.fetch(blobs, lambda digest: arrived(digest, paths[digest]))
            except CacheGone as error:
                self._lose(process, str(error))
        return paths

    def _lose(self, process: CacheProcess, reason: str) -> None:
        self._warn(process, reason)
        raise SharedTreesLost

    def _note(self) -> None:
        """Put on record here what the store has by now, for builds to come."""
        store = self._store
        left = []
        for taken in self._steps:
            step, pending = taken.step, taken.pending
            if not store.trees.has(step.tree):
                left.append(taken)
                continue
            _, source = parts_and_source(pending, taken.recipe, owners_kept=step.owners_kept)
            output = self._put_output(step.output)
            record = StepRecord(step.tree, output, step.seconds, step.owners_kept)
            store.steps.put(step.key, record, pending.step.text, source)
            if taken.network is not None:
                NetworkRecords(store.database).put(step.key, step.tree, taken.network)
        self._steps = left
        for step, stage, bases, plain in self._bases:
            if store.trees.has(step.tree):
                bases.remember(stage, step.tree, plain)

    def _put_output(self, output: bytes) -> Digest:
        if not output:
            return EMPTY_CONTENT
        with self._store.work.file() as temporary:
            writer = OutputWriter(temporary, self._store.objects)
            writer.write(output)
            return writer.finish()


def _content(part: Part, paths: dict[str, str]) -> bytes:
    if part.blob is None:
        return part.data
    path = paths[part.blob.digest]
    with open(path, "rb") as file:
        content = file.read()
    os.unlink(path)
    return content
