"""What of a store is needed: found from tags, kept history, registered locks and failures, down to the last file."""

from __future__ import annotations

import os
import time

from envbuild.record import Record
from envbuild.store.capture_retention import Retention, thinned_out
from envbuild.store.disk_usage import Report, say_nothing
from envbuild.store.fetched import FETCHED, PACKAGE, fetched_object
from envbuild.store.step_logs import output_object
from envbuild.store.store import Store
from envbuild.tree.entry import DIRECTORY, FILE, Digest, object_id

DAY = 86400


class Policy(Record):
    """Which past images of a tag are kept: the last `entries` moves and those of the last `days`; all if both are
    None. Of these, captures that a machine took by itself are kept as `captures` says. The tags in `without`, by name
    and tag, keep nothing."""

    entries: int | None = None
    days: float | None = None
    without: frozenset[tuple[str, str]] = frozenset()
    captures: Retention = Retention()

    @property
    def keeps_all(self) -> bool:
        """Whether no entry is ever dropped."""
        return self.entries is None and self.days is None


class Pins(Record):
    """What is needed from outside of the store's own records, by instances: `images`, `trees` that may be no image's,
    and the paths of `layers` that are mounted."""

    images: frozenset[Digest] = frozenset()
    trees: frozenset[Digest] = frozenset()
    layers: frozenset[str] = frozenset()


class Needed:
    """What is needed, by kind: `images`, `keys` (of steps), `trees` (directories), `objects`, `packages` (their files'
    names) and `stacks`; `roots` are the trees that all of it was found from. `caches` are the names of directories that
    steps keep caches in, None for all."""

    def __init__(self) -> None:
        self.images: set[Digest] = set()
        self.keys: set[str] = set()
        self.roots: set[Digest] = set()
        self.trees: set[Digest] = set()
        self.objects: set[Digest] = set()
        self.packages: set[str] = set()
        self.stacks: set[Digest] = set()
        self.caches: set[str] | None = None

    def follow(
        self, store: Store, *, stacks: bool = True, report: Report = say_nothing
    ) -> tuple[set[Digest], set[Digest], int]:
        """Follow new roots to all directories and files, and with `stacks` to all that their layers are built on.

        Returns the objects and the directories that were not needed before, and the bytes of the directories' records.
        """
        added: set[Digest] = set()
        directories: set[Digest] = set()
        size = 0
        for root in list(self.roots - self.trees) if stacks else ():
            for tree, _ in store.stacks.chain(root):
                self.stacks.add(tree)
                self.roots.add(tree)
        pending = list(self.roots - self.trees)
        of = store.database.rows("SELECT count(*) FROM trees")[0][0] if report is not say_nothing else 0
        while pending:
            digest = pending.pop()
            report("directories", len(self.trees), of)
            if digest in self.trees or not store.trees.has(digest):
                continue
            self.trees.add(digest)
            directories.add(digest)
            entries = store.trees.load(digest)
            size += 100 * len(entries)
            for entry in entries:
                if entry.kind == DIRECTORY and entry.digest:
                    pending.append(entry.digest)
                elif entry.kind == FILE:
                    added.add(object_id(entry))
        added -= self.objects
        self.objects |= added
        return added, directories, size

    def add_parts(self, store: Store) -> None:
        """Keep the parts of installations whose files are needed anyway: they cost a few records, and without them one
        more package installs all of them anew."""
        for key, tree in store.steps.parts():
            if key not in self.keys and self._has_files_of(store, tree):
                self.keys.add(key)
                self.roots.add(tree)
        self.follow(store, stacks=False)

    def _has_files_of(self, store: Store, tree: Digest) -> bool:
        pending, seen = [tree], set(self.trees)
        while pending:
            digest = pending.pop()
            if digest in seen:
                continue
            if not store.trees.has(digest):
                return False
            seen.add(digest)
            for entry in store.trees.load(digest):
                if entry.kind == DIRECTORY and entry.digest:
                    pending.append(entry.digest)
                elif entry.kind == FILE and object_id(entry) not in self.objects:
                    return False
        return True

    def keep_whole_stacks(self, store: Store) -> None:
        """Keep the stacks that are built on nothing but what is needed anyway; other trees get new ones when they are
        mounted."""
        for root in self.roots:
            chain = [tree for tree, _ in store.stacks.chain(root)]
            if self.roots.issuperset(chain):
                self.stacks.update(chain)

    def add_steps(self, store: Store) -> None:
        """Add the results of the steps in `keys`."""
        for key in self.keys:
            record = store.steps.get(key)
            if record is not None:
                self.roots.add(record.tree)
                self.objects.add(output_object(record.output))


def needed(store: Store, policy: Policy, pins: Pins, *, cache: bool = True, report: Report = say_nothing) -> Needed:
    """Return what tags, their history as far as `policy` keeps it, `pins`, registered locks and the last failures need.

    Without `cache` images do without the steps that made them, and all trees without their stacks: they can be used
    and compared, and mounted after some linking.
    """
    kept = Needed()
    kept.images |= pins.images
    kept.roots |= pins.trees
    for tag in store.tags.all():
        if (tag.name, tag.tag) in policy.without:
            continue
        kept.images.add(tag.image)
        kept.images |= _past(store, tag.name, tag.tag, policy)
    for digest in kept.images:
        _add_image(store, kept, digest, cache)
    _add_locks(store, kept)
    for failure in store.images.failures():
        kept.roots.add(failure.tree)
        kept.objects.add(output_object(failure.known["output"]))
    kept.add_steps(store)
    kept.follow(store, stacks=cache, report=report)
    if cache:
        kept.add_parts(store)
    return kept


def _past(store: Store, name: str, tag: str, policy: Policy) -> set[Digest]:
    """Return the images that the kept entries of a tag's history name."""
    oldest = time.time() - policy.days * DAY if policy.days is not None else None
    images = set()
    thinned = thinned_out(store.tags.history(name, tag), policy.captures, time.time())
    for back, entry in enumerate(store.tags.history(name, tag)):
        recent = oldest is not None and entry.moved >= oldest
        # The newest entry is what the tag is now: N entries are those before it.
        near = policy.entries is not None and back <= policy.entries
        if not (policy.keeps_all or recent or near):
            break
        if entry.image is not None and entry.number not in thinned:
            images.add(entry.image)
    return images


def _add_image(store: Store, kept: Needed, digest: Digest, steps: bool) -> None:
    image = store.images.get(digest)
    if image is None:
        return
    kept.roots.add(image.tree)
    detail = image.known
    if "tree" in detail.get("sources", {}):
        kept.roots.add(detail["sources"]["tree"])
    for stage in detail.get("stages", []):
        kept.roots.add(stage["tree"])
        for step in stage["steps"] if steps else ():
            kept.keys.add(step["key"])
            kept.roots.add(step["tree"])
            kept.objects.add(output_object(step["output"]))


def _add_locks(store: Store, kept: Needed) -> None:
    for path, keys, trees in store.database.rows("SELECT path, keys, trees FROM locks"):
        if not os.path.exists(path):
            continue
        kept.keys.update(keys.split())
        for name in trees.split():
            if name.startswith(PACKAGE):
                kept.packages.add(name.removeprefix(PACKAGE).replace(":", "-"))
            elif name.startswith(FETCHED):
                kept.objects.add(fetched_object(name.removeprefix(FETCHED)))
            else:
                kept.roots.add(name)
