"""What of a tree goes into which layer, so that what changes together travels together.

The first layer is the tree that the image began with, which many images share. All that came after is in layers that
have no path in common: one for each large package or a group of small ones, and one for what each step brought beside
packages, such as the application; large files of a step are apart from its small ones. So an edit of the application
makes one small new layer, and a newer version of a package one of that package; no order of steps is needed to keep
them apart, and a recipe of a thousand steps makes no more layers than one of ten. (Docker starts no container of more
than 127: moby/buildkit issue 3067.)

The attributes of directories that several layers fill are in the last of them: an earlier one that had them would be
another layer with each package that is added.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256

from envbuild.record import Record
from envbuild.tree.diff import own
from envbuild.tree.entry import DIRECTORY, ROOT_NAME, Digest, Entry
from envbuild.tree.lookup import Trees, root_entry, walk

MAX_LAYERS = 60
BIG = 4 << 20
"""Bytes from which a package has a layer of its own."""
BUCKETS = 6
"""Layers that share the small packages. It is always the same one for a package, whichever others there are."""

LARGE = 256 << 10
"""Bytes from which a file that a step brought is in one of PARTS layers, always the same one for its path, beside that
of the step's smaller files: who changes one of several large files sends few of the others along."""
PARTS = 8

Members = tuple[tuple[bytes, Entry | None], ...]
"""Paths of a layer with what is there, None for what is there no more; directories before what they hold."""
UnitsOf = Callable[[Sequence[bytes]], Mapping[bytes, str]]
"""Returns the name of what a path comes and goes with, such as a source package, for each path that has one."""


class Layer(Record):
    """One layer, with what it is in words."""

    title: str
    members: Members


class Step(Record):
    """A step of the image in words, with the trees before and after it."""

    text: str
    before: Digest
    after: Digest


def grouped(
    trees: Trees,
    base: Step | None,
    tree: Digest,
    steps: Sequence[Step],
    units_of: UnitsOf,
    limit: int = MAX_LAYERS,
) -> list[Layer]:
    """Return the layers of a tree, lowest first, at most `limit` (two or more). `base` is what the image began with:
    `after` is its tree."""
    layers = []
    if base is not None:
        layers.append(whole(trees, base.after, base.text))
        limit -= 1
    change = _Change(trees, base.after if base is not None else None, tree)
    names = units_of([path for path, _ in change.files]) if limit > 1 else {}
    unit_layers = _units(change, names, max(1, limit * 2 // 3))
    step_layers = _steps(trees, change, names, steps, max(1, limit - max(unit_layers.values(), default=0)))
    groups: dict[bytes, int] = {}
    titles: dict[int, str] = {}
    for path, unit in names.items():
        groups[path] = unit_layers[unit]
    for unit in sorted(unit_layers):
        number = unit_layers[unit]
        titles[number] = f"{titles[number]} {unit}" if number in titles else f"packages: {unit}"
    first = len(titles)
    for path, (number, text) in step_layers.items():
        groups[path] = first + 1 + number
        titles[first + 1 + number] = text
    return [*layers, *_layers(change, groups, titles)]


def by_steps(trees: Trees, base: Step | None, steps: Sequence[Step], tree: Digest) -> list[Layer]:
    """Return a layer for each step that changed something."""
    if base is None:
        return [whole(trees, tree, "all files")]
    layers = [whole(trees, base.after, base.text)]
    before = base.after
    for step in (*steps, Step("changes of no step", "", tree)):
        if step.after != before:
            change = _Change(trees, before, step.after)
            paths = [path for path, _ in change.files] + change.removed
            layers += _layers(change, dict.fromkeys(paths, 0), {0: step.text})
        before = step.after
    return layers


def whole(trees: Trees, tree: Digest, title: str) -> Layer:
    """Return one layer with all of a tree."""
    members = ((ROOT_NAME, root_entry(trees, tree)), *walk(trees, tree))
    return Layer(title, tuple((path, _alone(entry)) for path, entry in members))


class _Change:
    """What leads from a tree, or from nothing, to another one: `files` are all but directories that are new or
    changed, `removed` paths that are gone, `folders` all directories on the way with what they are now, and `fresh`
    those of them that the tree before had not, or not so."""

    def __init__(self, trees: Trees, before: Digest | None, after: Digest) -> None:
        self._trees = trees
        self.files: list[tuple[bytes, Entry]] = []
        self.removed: list[bytes] = []
        self.folders: dict[bytes, Entry] = {ROOT_NAME: root_entry(trees, after)}
        self.fresh: set[bytes] = set()
        self.new: set[bytes] = set()
        if before is None or own(root_entry(trees, before)) != own(self.folders[ROOT_NAME]):
            self.fresh.add(ROOT_NAME)
        pending = [(b"", before, after)]
        while pending:
            pending += self._compare(*pending.pop())

    def _compare(
        self, prefix: bytes, before: Digest | None, after: Digest
    ) -> Iterable[tuple[bytes, Digest | None, Digest]]:
        old = {entry.name: entry for entry in self._trees.load(before)} if before is not None else {}
        names = set()
        for entry in self._trees.load(after):
            names.add(entry.name)
            known = old.get(entry.name)
            if entry == known or entry.name == ROOT_NAME:
                continue
            path = prefix + entry.name
            if entry.kind != DIRECTORY:
                self.files.append((path, entry))
                continue
            self.folders[path] = entry
            was_there = known is not None and known.kind == DIRECTORY
            if known is None or not was_there or own(known) != own(entry):
                self.fresh.add(path)
            if not was_there:
                self.new.add(path)
            if known is None or known.digest != entry.digest:
                yield path + b"/", known.digest if known is not None and was_there else None, entry.digest
        self.removed += [prefix + name for name in sorted(old.keys() - names) if name != ROOT_NAME]


def _units(change: _Change, names: Mapping[bytes, str], limit: int) -> dict[str, int]:
    """Return the number of the layer of each unit, from 1 on."""
    sizes: dict[str, int] = {}
    for path, entry in change.files:
        if path in names:
            sizes[names[path]] = sizes.get(names[path], 0) + entry.size
    buckets = min(BUCKETS, max(1, limit // 2))
    big = sorted((unit for unit in sizes if sizes[unit] >= BIG), key=lambda unit: (-sizes[unit], unit))
    alone = sorted(big[: max(0, limit - buckets)])
    bucket = {
        unit: int(sha256(unit.encode(errors="surrogateescape")).hexdigest()[:8], 16) % buckets
        for unit in sizes
        if unit not in set(alone)
    }
    used = sorted(set(bucket.values()))
    return {
        **{unit: 1 + used.index(number) for unit, number in bucket.items()},
        **{unit: 1 + len(used) + number for number, unit in enumerate(alone)},
    }


def _steps(
    trees: Trees, change: _Change, names: Mapping[bytes, str], steps: Sequence[Step], limit: int
) -> dict[bytes, tuple[int, str]]:
    """Return for what belongs to no unit the number of its layer and the words of the step that brought or removed it
    last. Large files of a step have layers of their own if that makes no more than `limit`; the first steps count as
    one if they alone are more."""
    rest = {path for path, _ in change.files if path not in names} | set(change.removed)
    brought: dict[bytes, int] = dict.fromkeys(rest, -1)
    for number, step in enumerate(steps):
        if step.before == step.after:
            continue
        moved = _Change(trees, step.before, step.after)
        for path in (*(path for path, _ in moved.files), *moved.removed):
            if path in rest:
                brought[path] = number
    apart = {path: _part(path) for path, entry in change.files if path in brought and entry.size >= LARGE}
    keys = {path: (number, apart.get(path, 0)) for path, number in brought.items()}
    if len(set(keys.values())) > limit:
        keys = {path: (number, 0) for path, number in brought.items()}
    used = sorted(set(keys.values()))
    first = max(0, len(used) - limit)
    place = {key: max(0, position - first) for position, key in enumerate(used)}
    texts = {-1: "files of no step", **{number: step.text for number, step in enumerate(steps)}}
    shown = {place[key]: texts[key[0]] for key in used}
    if first:
        shown[0] = f"the first {first + 1} steps that brought files"
    return {path: (place[key], shown[place[key]]) for path, key in keys.items()}


def _part(path: bytes) -> int:
    """Return which of a step's layers for large files one is in, from 1 on."""
    return 1 + int(sha256(path).hexdigest()[:8], 16) % PARTS


def _layers(change: _Change, groups: Mapping[bytes, int], titles: Mapping[int, str]) -> list[Layer]:
    entries: dict[bytes, Entry | None] = {**dict(change.files), **dict.fromkeys(change.removed)}
    members: dict[int, list[bytes]] = {}
    parents: dict[bytes, set[int]] = {}
    for path in entries:
        number = groups[path]
        members.setdefault(number, []).append(path)
        parents.setdefault(path.rpartition(b"/")[0], set()).add(number)
    for folder in sorted(parents, key=lambda path: -path.count(b"/") if path else 1):
        while folder:
            above = folder.rpartition(b"/")[0]
            known = parents.setdefault(above, set())
            if known >= parents[folder]:
                break
            known |= parents[folder]
            folder = above
    numbers = sorted(members)
    if not numbers:
        if not change.fresh:
            return []
        numbers, titles = [0], {0: "attributes of directories"}
    last = numbers[-1]
    for path in change.fresh:
        if path not in parents:
            # What leads to it is beside it: a layer whose directories are not all there has no index (layer_index.py).
            for folder in _above(path):
                parents.setdefault(folder, set()).add(last)
    inside: dict[int, list[tuple[bytes, Entry | None]]] = {number: [] for number in numbers}
    for path, entry in change.folders.items():
        filled = parents.get(path, set()) if path != ROOT_NAME else set()
        if path in change.new and len(filled) == 1:
            inside[next(iter(filled))].append((path, _alone(entry)))
            continue
        for number in filled - {last}:
            inside[number].append((path, _alone(entry)._replace(mtime=0)))
        if path in change.fresh or filled:
            inside[last].append((path, _alone(entry)))
    if ROOT_NAME not in change.fresh:
        inside[last] = [pair for pair in inside[last] if pair[0] != ROOT_NAME]
    return [
        Layer(
            titles[number],
            tuple(sorted([*inside[number], *((path, entries[path]) for path in members.get(number, ()))], key=_order)),
        )
        for number in numbers
    ]


def _above(path: bytes) -> Iterator[bytes]:
    """Yield the directories that lead to a path, the root last."""
    while path:
        path = path.rpartition(b"/")[0]
        yield path


def _alone(entry: Entry) -> Entry:
    """Return a directory without what it holds, which is for other layers, too."""
    return own(entry) if entry.kind == DIRECTORY else entry


def _order(member: tuple[bytes, Entry | None]) -> list[bytes]:
    """Sort the root first, and directories before what they hold."""
    return [] if member[0] == ROOT_NAME else member[0].split(b"/")
