"""What going back comes to: each named path of the machine held against a capture. Nothing is changed here."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Protocol

from envbuild.capture.live_entry import LinkOnTheWay, Live, live_at, open_parent
from envbuild.capture.rights import Rights
from envbuild.digest import sha256_of
from envbuild.errors import UsageError, fields
from envbuild.images.capture_record import FOLDER
from envbuild.record import Record
from envbuild.tree.diff import Change, aspects
from envbuild.tree.entry import DIRECTORY, FILE, LINK, Digest, Entry
from envbuild.tree.lookup import Trees, entry_at, root_entry, walk

ROOM = b".envbuild-restore-"
"""How the names of directories begin in which paths are made until they are whole."""
MAX_EXTRA = 1000
"""Paths that a capture lacks which are listed."""
_IN_PLACE = frozenset(("mode", "owner", "xattrs"))
"""What counts of a directory: its time is that of the last change in it."""


class Step(Record):
    """One path that going back changes: what it is now, None for nothing, and what it becomes, None for nothing.
    `aspects` say what differs where it stays the same kind of thing (tree.diff.aspects). A directory that is not there
    now comes with all that is in it: `inside` are the entries of that."""

    path: bytes
    now: Live | None
    entry: Entry | None
    aspects: tuple[str, ...] = ()
    inside: int = 0

    @property
    def contents(self) -> bool:
        """Whether a file's content is needed for it, or those of the files in a directory."""
        return self.entry is not None and (self.entry.kind == FILE or self.is_new_directory)

    @property
    def is_new_directory(self) -> bool:
        """Whether it makes a directory."""
        now = self.now.entry if self.now is not None else None
        return self.entry is not None and self.entry.kind == DIRECTORY and (now is None or now.kind != DIRECTORY)


class Refused(Record):
    """A path that stays as it is, and why."""

    path: bytes
    reason: str


class RestorePlan(Record):
    """What going back does: the `steps` in their order, what is `refused`, `extra` paths in the named directories that
    the capture lacks and that stay (at most MAX_EXTRA, of `extra_count`), how many paths are as they were, and the
    `leftovers` of restores that were killed."""

    steps: tuple[Step, ...]
    refused: tuple[Refused, ...]
    extra: tuple[bytes, ...]
    extra_count: int
    unchanged: int
    leftovers: tuple[bytes, ...] = ()


@fields
class NotInCapture(UsageError):
    """A named path that the capture does not have."""

    path: str
    image: str
    reason: str

    def text(self) -> tuple[str, str]:
        if self.reason:
            return f"{self.image} does not have {self.path}: {self.reason}", "a capture has only what it took"
        return f"{self.image} does not have {self.path}", "if it is to go: --delete removes what was not there"


@fields
class LinkInPath(UsageError):
    """A named path leads through a link."""

    path: str
    link: str
    target: str

    def text(self) -> tuple[str, str]:
        way = f", which leads to {self.target}" if self.target else ""
        return f"{self.path} leads through the link {self.link}{way}", "links are not followed: name the path itself"


class Knowledge(Protocol):
    """What is known of a capture beside its tree."""

    def is_secret(self, path: bytes, entry: Entry) -> bool:
        """Return whether what the capture has of a file is not all of its content."""

    def stands_for(self, path: bytes, entry: Entry, opened: int) -> bool:
        """Return whether what the capture has of a secret stands for the content of an open file of the machine."""

    def reason(self, path: bytes) -> str:
        """Return why a capture does not have a path, "" where there was nothing."""


class _Planner:
    def __init__(self, trees: Trees, root: int, knowledge: Knowledge, rights: Rights) -> None:
        self.trees, self.root, self.knowledge, self.rights = trees, root, knowledge, rights
        self.steps: list[Step] = []
        self.refused: list[Refused] = []
        self.extra: list[bytes] = []
        self.leftovers: list[bytes] = []
        self.extra_count = self.unchanged = 0

    def restore(self, path: bytes, entry: Entry) -> None:
        """Plan for a path that the capture has."""
        if path == b"":
            self._inside(os.dup(self.root), b"", entry)
            return
        try:
            parent = open_parent(self.root, path)
        except LinkOnTheWay:
            self._refuse(path, "a link of this machine is on the way to it")
        except OSError as error:
            missing = "its directory is not there: name that" if not self._exists(path) else str(error.strerror)
            self._refuse(path, missing)
        else:
            with _closed(parent):
                folder, _, name = path.rpartition(b"/")
                if _has(parent, room_of(name)):
                    self.leftovers.append(_joined(folder, room_of(name)))
                self._entry(parent, path, entry)

    def delete(self, path: bytes) -> None:
        """Plan the end of a path that the capture knows not to have been there."""
        try:
            parent = open_parent(self.root, path)
        except LinkOnTheWay:
            self._refuse(path, "a link of this machine is on the way to it")
        except OSError:
            self.unchanged += 1
        else:
            with _closed(parent):
                self._removed(parent, path)

    def _exists(self, path: bytes) -> bool:
        try:
            os.close(open_parent(self.root, path))
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return True

    def _refuse(self, path: bytes, reason: str) -> None:
        self.refused.append(Refused(path, reason))

    def _live(self, parent: int, path: bytes) -> tuple[bool, Live | None]:
        try:
            return True, live_at(parent, path.rpartition(b"/")[2])
        except OSError as error:
            self._refuse(path, str(error.strerror))
            return False, None

    def _entry(self, parent: int, path: bytes, entry: Entry) -> None:
        readable, live = self._live(parent, path)
        if not readable or path == FOLDER or (live is None and is_record(self.trees, path, entry)):
            return
        if live is not None and live.entry is None:
            self._refuse(path, "a socket is in its place")
            return
        now = live.entry if live is not None else None
        if entry.kind == DIRECTORY and now is not None and now.kind == DIRECTORY:
            different = tuple(sorted(_IN_PLACE.intersection(aspects(Change(path, now, entry)))))
            if not different:
                self.unchanged += 1
            elif reason := self.rights.reason_of(entry) or self.rights.reason_of(now):
                self._refuse(path, reason)
            else:
                self.steps.append(Step(path, live, entry, different))
            try:
                inner = os.open(entry.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
            except OSError as error:
                self._refuse(path, str(error.strerror))
                return
            self._inside(inner, path, entry)
            return
        if now is not None and now.kind == DIRECTORY:
            self._refuse(path, "a directory is in its place: move that away first")
            return
        different = () if now is None else aspects(Change(path, now, entry))
        if now is not None and not different:
            self.unchanged += 1
        elif entry.kind == FILE and self.knowledge.is_secret(path, entry):
            if now is not None and set(different) <= {"content"} and self._is_same_secret(parent, path, entry):
                self.unchanged += 1
            else:
                self._refuse(path, "a secret, whose content is not in the capture")
        elif reason := self.rights.reason(parent, entry, now):
            self._refuse(path, reason)
        elif entry.kind == DIRECTORY:
            self._new_directory(path, live, entry, parent)
        else:
            self.steps.append(Step(path, live, entry, different))

    def _is_same_secret(self, parent: int, path: bytes, entry: Entry) -> bool:
        try:
            opened = os.open(entry.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
        except OSError:
            return False
        with _closed(opened):
            return self.knowledge.stands_for(path, entry, opened)

    def _new_directory(self, path: bytes, live: Live | None, entry: Entry, parent: int) -> None:
        inside = 0
        for inner, deeper in walk(self.trees, entry.digest, path + b"/"):
            if is_record(self.trees, inner, deeper):
                continue
            inside += 1
            if deeper.kind == FILE and self.knowledge.is_secret(inner, deeper):
                self._refuse(inner, "a secret, whose content is not in the capture")
            elif reason := self.rights.reason_of(deeper):
                self._refuse(inner, reason)
        self.steps.append(Step(path, live, entry, (), inside))

    def _inside(self, directory: int, path: bytes, entry: Entry) -> None:
        """Plan for what is in a directory that both have; takes the descriptor."""
        with _closed(directory):
            listed = {os.fsencode(name) for name in os.listdir(directory)}
            kept = {inner.name: inner for inner in self.trees.load(entry.digest) if inner.name != b"."}
            for name in sorted(listed - kept.keys()):
                if name.startswith(ROOM):
                    self.leftovers.append(_joined(path, name))
                    continue
                if self.knowledge.reason(_joined(path, name)):
                    continue
                self.extra_count += 1
                if len(self.extra) < MAX_EXTRA:
                    self.extra.append(_joined(path, name))
            for name in sorted(kept):
                self._entry(directory, _joined(path, name), kept[name])

    def _removed(self, parent: int, path: bytes) -> None:
        readable, live = self._live(parent, path)
        if not readable:
            return
        if live is None:
            self.unchanged += 1
            return
        now = live.entry
        if now is None:
            self._refuse(path, "a socket, which no capture can keep")
            return
        if reason := self.rights.reason_to_remove(parent, now):
            self._refuse(path, reason)
            return
        if now.kind == DIRECTORY:
            if live.identity[0] != os.fstat(parent).st_dev:
                self._refuse(path, "another file system is mounted there")
                return
            before = len(self.refused)
            inner = os.open(now.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
            with _closed(inner):
                for name in sorted(map(os.fsencode, os.listdir(inner))):
                    self._removed(inner, _joined(path, name))
            if len(self.refused) > before:
                self._refuse(path, "something in it stays")
                return
        self.steps.append(Step(path, live, None))


def plan_restore(
    trees: Trees,
    capture: Digest,
    image: str,
    root: int,
    paths: Sequence[bytes],
    knowledge: Knowledge,
    rights: Rights,
    *,
    delete: bool = False,
) -> RestorePlan:
    """Return what putting `paths` back to what a capture has comes to. `root` is an open directory; paths are relative
    to it and have no slash at their ends. With `delete` named paths that the capture knows not to have been there go.

    `image` is the capture's name in messages. Raises NotInCapture and LinkInPath.
    """
    planner = _Planner(trees, root, knowledge, rights)
    for path in _outermost(paths):
        shown = f"/{os.fsdecode(path)}"
        if path == FOLDER or path.startswith(FOLDER + b"/"):
            raise NotInCapture(shown, image, "that is what envbuild says of the capture")
        entry = entry_at(trees, capture, path) if path else root_entry(trees, capture)
        if entry is not None:
            planner.restore(path, entry)
            continue
        _refuse_links(trees, capture, path)
        if reason := knowledge.reason(path):
            raise NotInCapture(shown, image, reason)
        if not delete:
            raise NotInCapture(shown, image, "")
        planner.delete(path)
    return RestorePlan(
        tuple(planner.steps),
        tuple(planner.refused),
        tuple(planner.extra),
        planner.extra_count,
        planner.unchanged,
        tuple(dict.fromkeys(planner.leftovers)),
    )


def is_record(trees: Trees, path: bytes, entry: Entry) -> bool:
    """Return whether a path of a capture is what envbuild says of it, or leads to nothing else."""
    if path == FOLDER or path.startswith(FOLDER + b"/"):
        return True
    if not FOLDER.startswith(path + b"/") or entry.kind != DIRECTORY:
        return False
    inside = [inner for inner in trees.load(entry.digest) if inner.name != b"."]
    return all(is_record(trees, path + b"/" + inner.name, inner) for inner in inside)


def room_of(name: bytes) -> bytes:
    """Return the name of the directory beside a path in which its successor is made: it follows from the path's, so
    that what a kill left is seen when the path is put back again."""
    return ROOM + sha256_of(name)[:16].encode()


def _refuse_links(trees: Trees, capture: Digest, path: bytes) -> None:
    names = path.split(b"/")
    for length in range(1, len(names)):
        above = b"/".join(names[:length])
        entry = entry_at(trees, capture, above)
        if entry is not None and entry.kind == LINK:
            raise LinkInPath(f"/{os.fsdecode(path)}", f"/{os.fsdecode(above)}", os.fsdecode(entry.target))


def _outermost(paths: Sequence[bytes]) -> Iterator[bytes]:
    """Yield each path that lies in no other, in their order."""
    distinct = dict.fromkeys(paths)
    for path in distinct:
        above = path
        while above:
            above = above.rpartition(b"/")[0]
            if above in distinct and above != path:
                break
        else:
            yield path


def _has(parent: int, name: bytes) -> bool:
    try:
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except OSError:
        return False
    return True


def _joined(path: bytes, name: bytes) -> bytes:
    return path + b"/" + name if path else name


class _closed:
    """Closes a descriptor in the end."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)
