"""Groups of the paths that belong to no package: each for itself, unless one step of a recipe brought very many."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from envbuild.bisect.differences import FILE, STEP, Group, PathPart
from envbuild.history.blame import makers
from envbuild.history.operand import Operand
from envbuild.language.one_line import one_line
from envbuild.store.store import Store
from envbuild.tree.diff import diff, expanded
from envbuild.tree.entry import ROOT_NAME

MANY = 200
"""Paths of one step that are one difference: its application, its data. Inside, the search goes on to the file."""
MAX_ALONE = 5000
"""Paths that are differences each for itself; of more, those of one directory are one."""


def loose_groups(store: Store, sides: Sequence[Operand], parts: Iterable[PathPart]) -> Iterator[Group]:
    """Yield the groups of paths. `sides` are the two environments, the one first whose steps count most."""
    left = {part.path: part for part in sorted(parts, key=lambda part: part.path)}
    if len(left) > MANY:
        for name, members in _by_step(store, sides, left):
            if len(members) > MANY:
                yield Group(STEP, name, tuple(left.pop(path) for path in members))
    if len(left) <= MAX_ALONE:
        yield from (Group(FILE, shown_path(path), (part,)) for path, part in left.items())
        return
    folders: dict[bytes, list[PathPart]] = {}
    for path, part in left.items():
        folders.setdefault(path.rpartition(b"/")[0], []).append(part)
    for folder, inner in folders.items():
        name = shown_path(inner[0].path if len(inner) == 1 else folder)
        yield Group(FILE, name, tuple(inner))


def shown_path(path: bytes) -> str:
    """Return a path as users write it."""
    return "/" if path in (ROOT_NAME, b"") else "/" + path.decode("utf-8", "backslashreplace")


def _by_step(store: Store, sides: Sequence[Operand], paths: Iterable[bytes]) -> Iterator[tuple[str, list[bytes]]]:
    """Yield what each step did last to some of the paths, as far as the trees in between are kept."""
    wanted = set(paths)
    inside = {
        b"/".join(names[:depth]) for names in (path.split(b"/") for path in wanted) for depth in range(len(names))
    }
    steps: dict[str, list[bytes]] = {}
    for side in sides:
        image = store.images.get(side.image) if side.image else None
        if image is None or not wanted:
            continue
        last: dict[bytes, str] = {}
        made = [maker for maker in makers(store, image) if store.trees.has(maker.tree)]
        for before, maker in pairwise(made):
            place = f" ({maker.file}:{maker.line})" if maker.file else ""
            name = f"{one_line(maker.text)}{place}"
            # Whatever else the step brought is not gone through.
            changes = (
                change
                for change in diff(store.trees, before.tree, maker.tree)
                if change.path in wanted or change.path in inside
            )
            for change in expanded(store.trees, changes):
                if change.path in wanted:
                    last[change.path] = name
        for path, name in last.items():
            steps.setdefault(name, []).append(path)
        wanted -= last.keys()
    yield from steps.items()
