"""From what the tracer saw to what was read of the parent tree.

A path is followed through the links of the parent tree, and through those that the step made, at whatever time it
made them: where it could have led to more than one entry, the step counts as having read all of them. What lies where
another file system was mounted is no part of the tree.
"""

from __future__ import annotations

import os

from envbuild.record import NamedTuple, Record
from envbuild.trace.observed import FOLLOW, LINK_ALONE, LINKED, OPENED, Event, Observed
from envbuild.trace.reads import (
    ABSENT,
    ATTRIBUTES,
    CONTENT,
    LISTING,
    MAX_BYTES,
    MAX_NAME,
    MAX_PATHS,
    RIGHTS,
    Reads,
    is_canonical,
)
from envbuild.tree.entry import DIRECTORY, LINK
from envbuild.tree.lookup import MAX_LINKS, root_entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from envbuild.trace.reads import Access
    from envbuild.tree.entry import Digest, Entry
    from envbuild.tree.lookup import Trees

    Walked = tuple["_Place", ...]

_ACCESS = RIGHTS | ATTRIBUTES | CONTENT | LISTING
_MAX_PLACES = 64
_MAX_ROUNDS = 20
_MAX_STEPS = 5_000_000
"""So many names are looked at for one record: links made to lead to each other could ask for more than anybody has
time for."""


class Mount(Record):
    """What was mounted at `target`, a path as in reads.py; of `source` on this machine, if it is a bind."""

    target: bytes
    source: bytes | None = None


class _Unclear(Exception):
    """The text says why what was read is not known."""


class _Place(NamedTuple):
    """Where a path leads: `path` in the tree's terms; what the parent has there, if it is not below a mount; and the
    same path in the source of the mount."""

    path: bytes
    entry: Entry | None
    in_mount: bool = False
    source: bytes | None = None


def resolve(observed: Observed, trees: Trees, parent: Digest, mounts: Sequence[Mount]) -> Reads:
    """Return what a step read of its parent tree."""
    if observed.untraceable:
        return Reads({}, observed.untraceable)
    resolver = _Resolver(trees, parent, mounts)
    try:
        resolver.learn_links(observed.events)
        for event in observed.events:
            if event.action < LINKED:
                resolver.note(event)
    except _Unclear as reason:
        return Reads({}, str(reason))
    return Reads(resolver.paths)


class _Resolver:
    def __init__(self, trees: Trees, parent: Digest, mounts: Sequence[Mount]) -> None:
        self.paths: dict[bytes, Access] = {}
        self._bytes = 0
        self._trees = trees
        self._mounts: dict[bytes, Mount] = {}
        self._root = _Place(b"", root_entry(trees, parent))
        self._children: dict[Digest, dict[bytes, Entry]] = {}
        self._made: dict[bytes, set[bytes]] = {}
        """Links that the step made, with their targets."""
        self._above: set[bytes] = set()
        """The directories that these are in, and those above."""
        self._walked: dict[tuple[bytes, bytes], Walked] = {}
        self._changes_root = False
        self._steps = 0
        for mount in sorted(mounts, key=lambda mount: mount.target.count(b"/")):
            # A link of the tree leads to where it really was mounted.
            reached = [place.path for place in self._walk(b"", b"/" + mount.target, follow=True)]
            self._mounts |= dict.fromkeys((mount.target, *reached), mount)
            self._walked.clear()

    def learn_links(self, events: Sequence[Event]) -> None:
        """Take note of all links that the step made or moved, wherever they came to lie."""
        self._changes_root = any(event.floor for event in events)
        changing = [event for event in events if event.action >= LINKED]
        for _ in range(_MAX_ROUNDS):
            before = sum(map(len, self._made.values()))
            for event in changing:
                if event.action == LINKED:
                    for place in self._walk(event.floor, event.path, follow=False):
                        self._learn(place.path, event.other)
                else:
                    self._move(event)
            self._walked.clear()
            if sum(map(len, self._made.values())) == before:
                return
        raise _Unclear("moves links about too often to follow")

    def _move(self, event: Event) -> None:
        for old in self._walk(event.floor, event.path, follow=False):
            targets = set(self._made.get(old.path, ()))
            if old.entry is not None and old.entry.kind == LINK:
                targets.add(old.entry.target)
            within = []
            if old.path in self._above:
                start = old.path + b"/"
                within = [(path, made) for path, made in self._made.items() if path.startswith(start)]
            if not targets and not within:
                continue
            for new in self._walk(event.floor, event.other, follow=False):
                for target in targets:
                    self._learn(new.path, target)
                for path, made in within:
                    for target in tuple(made):
                        self._learn(new.path + path[len(old.path) :], target)

    def _learn(self, path: bytes, target: bytes) -> None:
        known = self._made.setdefault(path, set())
        if target in known:
            return
        if len(path) > 1 << 16 or len(self._made) > MAX_PATHS:
            raise _Unclear("makes too many links to follow")
        known.add(target)
        self._walked.clear()
        while path:
            path = path.rpartition(b"/")[0]
            if path in self._above:
                return
            self._above.add(path)

    def note(self, event: Event) -> None:
        """Take note of what one event read."""
        follow = bool(event.action & FOLLOW)
        for place in self._walk(event.floor, event.path, follow=follow):
            if event.action & OPENED and place.path.startswith(b"proc/") and place.path.endswith(b"/mem"):
                raise _Unclear("may change other processes while they run")
            if place.entry is not None:
                self._add(place.path, _access(event.action, place.entry))

    def _add(self, path: bytes, access: Access) -> None:
        known = self.paths.get(path)
        if known is None:
            self._bytes += len(path) + 4
            if not is_canonical(path) or len(self.paths) >= MAX_PATHS or self._bytes > MAX_BYTES // 2:
                raise _Unclear("reads more paths than can be kept")
        self.paths[path] = (known or 0) | access

    def _walk(self, floor: bytes, path: bytes, *, follow: bool) -> Walked:
        """Return all places that a path may lead to, and note what is read on the way."""
        directory, _, name = path.rpartition(b"/")
        if name in (b"", b".", b".."):
            directory, name = path, b""
        places = self._directory(floor, directory)
        if not name:
            return places
        reached: dict[_Place, None] = {}
        for place in places:
            for inner in self._step(floor, place, name, follow, 0):
                reached[inner] = None
        return tuple(reached)

    def _directory(self, floor: bytes, path: bytes) -> Walked:
        key = (floor, path)
        known = self._walked.get(key)
        if known is None:
            known = self._walked[key] = self._through(floor, (self._root,), path, 0)
        return known

    def _through(self, floor: bytes, places: Walked, path: bytes, links: int) -> Walked:
        """Return where a path leads, with all links, from these places."""
        for name in path.split(b"/"):
            if name in (b"", b"."):
                continue
            reached: dict[_Place, None] = {}
            for place in places:
                for inner in self._step(floor, place, name, True, links):
                    reached[inner] = None
            places = tuple(reached)
            if len(places) > _MAX_PLACES:
                raise _Unclear("makes links that may lead to too many places")
        return places

    def _step(self, floor: bytes, place: _Place, name: bytes, follow: bool, links: int) -> Walked:
        """Return where a name in a place leads."""
        if name == b"..":
            # A process stays below its own root.
            return (place,) if place.path == floor.strip(b"/") else self._places(place.path.rpartition(b"/")[0])
        path = place.path + b"/" + name if place.path else name
        targets = list(self._made.get(path, ())) if follow else []
        inner = self._inner(place, path, name)
        link = self._link_in_mount(inner) if follow and inner.in_mount and place.in_mount else None
        self._steps += 1
        if self._steps > _MAX_STEPS:
            raise _Unclear("makes links that may lead to too many places")
        reached: list[_Place] = []
        if inner.entry is not None and inner.entry.kind == LINK and follow:
            self._add(path, CONTENT)
            targets.append(inner.entry.target)
        elif link is not None:
            targets.append(link)
        else:
            reached.append(inner)
        for target in targets:
            if links >= MAX_LINKS:
                break  # nor does the kernel follow more
            start = (self._places(floor.strip(b"/")) if floor else (self._root,)) if target[:1] == b"/" else (place,)
            reached += self._through(floor, start, target, links + 1)
        return tuple(reached)

    def _inner(self, place: _Place, path: bytes, name: bytes) -> _Place:
        """Return what a place has under a name."""
        mount = self._mounts.get(path)
        if mount is not None:
            return _Place(path, None, True, mount.source)
        if place.in_mount:
            source = None if place.source is None else place.source + b"/" + name
            if _is_descriptor(place.path):
                raise _Unclear("goes through a link of /proc to a directory of a process")
            return _Place(path, None, True, source)
        if place.entry is None:
            return _Place(path, None)
        if place.entry.kind != DIRECTORY:
            self._add(place.path, RIGHTS)
            return _Place(path, None)
        entry = self._entries(place.entry.digest).get(name)
        if entry is None and len(name) <= MAX_NAME:
            self._add(path, ABSENT)
        return _Place(path, entry)

    def _link_in_mount(self, place: _Place) -> bytes | None:
        """Return where a link in another file system leads, None where there is none."""
        if place.source is not None:
            try:
                return os.readlink(place.source)
            except OSError:
                return None
        view = _own_view(place.path)
        if view == b"root" and not self._changes_root:
            return b"/"  # that of all processes
        if view:
            raise _Unclear("goes through a link of /proc to a directory of a process")
        return None

    def _entries(self, directory: Digest) -> dict[bytes, Entry]:
        known = self._children.get(directory)
        if known is None:
            known = self._children[directory] = {entry.name: entry for entry in self._trees.load(directory)}
            known.pop(b".", None)
        return known

    def _places(self, path: bytes) -> Walked:
        """Return the place of a path without links."""
        place = self._root
        for name in filter(None, path.split(b"/")):
            place = self._inner(place, place.path + b"/" + name if place.path else name, name)
        return (place,)


def _access(action: int, entry: Entry) -> Access:
    """Return what an action reads of what it came to."""
    if action & LINK_ALONE and entry.kind != LINK:
        return RIGHTS
    access = action & _ACCESS
    if entry.kind != DIRECTORY:
        access &= ~LISTING
    elif action & OPENED:
        access |= LISTING
    return access or RIGHTS


def _is_descriptor(path: bytes) -> bool:
    """Tell whether a path is that of something a process has open: a link to wherever that is."""
    names = path.split(b"/")
    return (names[0] == b"proc" and len(names) > 3 and names[-2] == b"fd") or (
        names[0] == b"dev" and len(names) == 3 and names[1] == b"fd"
    )


def _own_view(path: bytes) -> bytes:
    """Return `root` or `cwd` for a path of /proc that is a link to that directory of a process."""
    names = path.split(b"/")
    return names[-1] if names[0] == b"proc" and len(names) > 2 and names[-1] in (b"root", b"cwd") else b""
