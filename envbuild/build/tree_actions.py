"""Does the actions that need no sandbox: they make a tree from a tree, and only look at other trees and files."""

from __future__ import annotations

import os
import posixpath

from envbuild.build.adopted_tree import Taken, adopt
from envbuild.build.context import keep
from envbuild.build.inputs import Inputs, patterns_of
from envbuild.digest import sha256_of
from envbuild.images.accounts import Databases, add_account, owner_ids, read_databases
from envbuild.linux.nofollow import RealFiles
from envbuild.plan.step import (
    AddUser,
    CopyIn,
    DiscardPaths,
    FetchFile,
    MakeDirectory,
    Render,
    Step,
    WriteFile,
)
from envbuild.store.database import NOT_ITSELF, PartDamaged
from envbuild.store.fetched import fetched_object
from envbuild.store.missing_objects import put_aside
from envbuild.store.step_cache import ContentChanged
from envbuild.store.store import Store
from envbuild.tree.apply import Edit, edit
from envbuild.tree.entry import DIRECTORY, FILE, Digest, Entry
from envbuild.tree.file_mode import changed_mode, with_mode
from envbuild.tree.lookup import lookup, real_path, walk
from envbuild.tree.patterns import Matcher, compile_patterns
from envbuild.tree.times import Clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

NANOSECONDS = 1_000_000_000
_FOR_ALL, _FOR_ALL_MODE = (b"tmp", b"var/tmp"), 0o1777


class Performer:
    """Performs actions on trees of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def perform(self, step: Step, inputs: Inputs, parent: Digest, epoch: int) -> Digest:
        """Return the tree that the action makes of `parent`. Files that it adds have times by their content, and those
        that take the place of others are later than all in `parent` (tree/times.py); other times are `epoch` (seconds).

        Raises UsageError and WorkFailed kinds.
        """
        return _Performance(self._store, parent, epoch, step.discard).perform(step, inputs)


class _Performance:
    def __init__(self, store: Store, parent: Digest, epoch: int, discard: tuple[str, ...]) -> None:
        self._store = store
        self._trees = store.trees
        self._parent = parent
        self._epoch = epoch
        self._mtime = epoch * NANOSECONDS
        self._known_clock: Clock | None = None
        self._discard = compile_patterns(discard) if discard else None

    def perform(self, step: Step, inputs: Inputs) -> Digest:
        match step.action:
            case CopyIn() as action:
                edits = self._copy(action, inputs)
            case Render() as action:
                from envbuild.build.template import render  # jinja2, only when a template is filled

                text = render(inputs.text, action.template, action.variables, action.environment)
                mode = changed_mode(inputs.mode, action.mode)
                edits = [self._file(action.destination, text, action.owner, mode, action.template)]
            case WriteFile() as action:
                mode = changed_mode(0o644, action.mode)
                edits = [self._file(action.path, action.content.encode(), action.owner, mode, "")]
            case FetchFile() as action:
                edits = self._fetched(action, inputs.digests[0])
            case AddUser() as action:
                edits = self._account(action)
            case MakeDirectory() as action:
                edits = self._directory(action.path)
            case DiscardPaths():
                return self._without_discarded(self._parent)
            case _:
                raise AssertionError(f"{type(step.action).__name__} needs a sandbox")
        # Accounts are made of nothing, and nothing is made of them: their files stay at the epoch.
        edits = [*self._missing_tmp(edits), *edits]
        settle = None if isinstance(step.action, (AddUser, MakeDirectory)) else self._settle
        tree = edit(self._trees, self._parent, edits, self._mtime, settle)
        return self._without_discarded(tree)

    # Times

    @property
    def _clock(self) -> Clock:
        if self._known_clock is None:
            self._known_clock = self._store.clocks.of(self._parent, self._epoch)
        return self._known_clock

    def _settle(self, held: Entry, entry: Entry) -> Entry:
        """Return a file as it will be in the place of another: later than whatever was made of that one. The same bytes
        keep their time."""
        if held.digest == entry.digest:
            new = entry._replace(mtime=held.mtime)
        elif entry.mtime <= self._clock.end:
            new = entry._replace(mtime=self._clock.written(held.name, entry.digest))
        else:
            return entry
        return new if new == entry else self._store.objects.alter(entry, new)

    # Copying

    def _copy(self, action: CopyIn, inputs: Inputs) -> list[Edit]:
        owner = owner_ids(action.owner, self.databases()) if action.owner else None
        if action.unpack:
            from envbuild.build.unpack import unpack_copied  # as for a file that is fetched

            trees = unpack_copied(self._store, inputs, self._epoch, owner)
            return [self._unpacked(action.destination, tree, owner) for tree in trees]
        several = len(action.sources) > 1 if action.optional else False
        into_directory = several or action.destination.endswith("/") or len(inputs.files) + len(inputs.entries) > 1
        entries = []
        # Most trees have nothing later than the epoch: files have the times then that they were found with.
        clock = self._clock if inputs.files and self._clock.latest > self._mtime else None
        with RealFiles() as files:
            for item in inputs.files:
                entries.append((item.entry.name, keep(self._store, item, owner or (0, 0), action.mode, files, clock)))
        taken = Taken(*patterns_of(action), owner, action.mode)
        for (path, entry), known in zip(inputs.entries, inputs.named if inputs.entries else (), strict=True):
            entries.append((path.rpartition(b"/")[2], adopt(self._store, entry, taken, known.called)))
        if action.parents:
            paths = [_path_below(known.called) for known in inputs.named]
            return [
                change
                for path, (_, entry) in zip(paths, entries, strict=True)
                for change in self._with_parents(action, path, entry, owner)
            ]
        edits = []
        for (name, entry), source in zip(entries, self._sources(action, inputs), strict=True):
            contents = entry.kind == DIRECTORY and (action.contents or source.endswith("/") or source in (".", ".."))
            place = action.destination.strip("/").encode()
            if into_directory and not contents and name:
                place = place + b"/" + name if place else name
            elif (
                entry.kind != DIRECTORY
                and (there := lookup(self._trees, self._parent, place)) is not None
                and there.kind == DIRECTORY
            ):
                # As cp does: a file that is copied to a directory goes into it.
                place = place + b"/" + name if place else name
            edits.append(self._placed(place, entry))
        return edits

    def _sources(self, action: CopyIn, inputs: Inputs) -> list[str]:
        """Return the source that each of the found files was named by; with wildcards one source gives several."""
        if action.optional:
            return [action.sources[named.number] for named in inputs.named]
        if not inputs.files or len(inputs.files) == len(action.sources):
            return list(action.sources)
        return ["" if len(action.sources) > 1 else action.sources[0].rstrip("/")] * len(inputs.files)

    def _with_parents(self, action: CopyIn, path: str, entry: Entry, owner: tuple[int, int] | None) -> Iterator[Edit]:
        """Yield the edits that put what a source means at its own path below the destination."""
        above = action.destination.strip("/")
        *folders, name = path.split("/") if path else [""]
        uid, gid = owner or (0, 0)
        for folder in folders:
            above = f"{above}/{folder}" if above else folder
            made = with_mode(Entry(b"", DIRECTORY, 0o755, uid, gid, self._mtime), action.mode)
            yield self._placed(above.encode("utf-8", "surrogateescape"), made)
        place = "/".join(filter(None, (above, name)))
        yield self._placed(place.encode("utf-8", "surrogateescape"), entry)

    def _placed(self, path: bytes, entry: Entry) -> Edit:
        """Return an edit for the true place that `path` leads to. A directory there keeps its own attributes."""
        real, rest = real_path(self._trees, self._parent, path, follow=entry.kind == DIRECTORY)
        place = b"/".join(filter(None, (real, rest)))
        if entry.kind == DIRECTORY:
            there = lookup(self._trees, self._parent, place, follow=False)
            if there is not None and there.kind == DIRECTORY:
                entry = there._replace(digest=entry.digest)
            elif place in _FOR_ALL:
                entry = entry._replace(mode=_FOR_ALL_MODE)
        return Edit(place, entry)

    def _missing_tmp(self, edits: list[Edit]) -> Iterator[Edit]:
        """Yield the directories for everybody's files that the tree lacks and something is put in."""
        for place in _FOR_ALL:
            inside = any(change.path.startswith(place + b"/") for change in edits)
            if inside and lookup(self._trees, self._parent, place, follow=False) is None:
                yield Edit(place, Entry(b"", DIRECTORY, _FOR_ALL_MODE, 0, 0, self._mtime))

    # Files, directories, accounts

    def _file(self, destination: str, content: bytes, owner: str | None, mode: int, source: str) -> Edit:
        place = destination.strip("/").encode()
        if destination.endswith("/"):
            place += b"/" + os.path.basename(source).encode()
        uid, gid = owner_ids(owner, self.databases()) if owner else (0, 0)
        name = place.rpartition(b"/")[2]
        entry = Entry(name, FILE, mode, uid, gid, self._clock.copied(name, sha256_of(content)))
        return self._placed(place, self._store.objects.add(entry, content))

    def _fetched(self, action: FetchFile, digest: Digest) -> list[Edit]:
        uid, gid = owner_ids(action.owner, self.databases()) if action.owner else (0, 0)
        from envbuild.build.fetch import content_of  # only where something was fetched

        path = content_of(self._store, digest)
        if action.unpack:
            from envbuild.build.unpack import unpack  # archives, only when one is unpacked

            owner = (uid, gid) if action.owner else None
            tree = unpack(self._store, path, name_of(action.url), self._epoch, owner)
            return [self._unpacked(action.destination, tree, owner)]
        place = action.destination.strip("/").encode()
        if action.destination.endswith("/"):
            place = b"/".join(filter(None, (place, name_of(action.url).encode())))
        mode = changed_mode(0o644, action.mode)
        last = place.rpartition(b"/")[2]
        entry = Entry(last, FILE, mode, uid, gid, self._clock.copied(last, digest), 0, digest)
        if self._store.objects.has(entry):
            entry = entry._replace(size=os.stat(path).st_size)
        else:
            entry = self._read_fetched(entry, path, digest)
        return [self._placed(place, entry)]

    def _unpacked(self, destination: str, tree: Digest, owner: tuple[int, int] | None) -> Edit:
        """Return the edit that puts what was in an archive into a directory."""
        entry = Entry(b"", DIRECTORY, 0o755, *(owner or (0, 0)), self._mtime, 0, tree)
        return self._placed(destination.strip("/").encode(), entry)

    def _read_fetched(self, entry: Entry, path: str, digest: Digest) -> Entry:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                return self._store.objects.add(entry, descriptor)
            finally:
                os.close(descriptor)
        except ContentChanged as error:
            self._store.lost.add(fetched_object(digest))
            put_aside(path, self._store.path)
            raise PartDamaged(f"the fetched file {digest[:12]}", NOT_ITSELF) from error

    def _directory(self, path: str) -> list[Edit]:
        place = path.strip("/").encode()
        if not place or lookup(self._trees, self._parent, place) is not None:
            return []
        return [self._placed(place, Entry(b"", DIRECTORY, 0o755, 0, 0, self._mtime))]

    def _account(self, action: AddUser) -> list[Edit]:
        before = self.databases()
        shell = action.shell
        if shell is None:
            shell = "/bin/bash" if lookup(self._trees, self._parent, b"bin/bash") else "/bin/sh"
        after, account = add_account(before, action.name, action.uid, action.gid, action.home, shell, action.groups)
        edits = []
        for path, old, new, mode in (
            (b"etc/passwd", before.passwd, after.passwd, 0o644),
            (b"etc/group", before.group, after.group, 0o644),
            (b"etc/shadow", before.shadow, after.shadow, 0o640),
            (b"etc/gshadow", before.gshadow, after.gshadow, 0o640),
        ):
            if new is not None and new != old:
                edits.append(self._rewritten(path, new, mode))
        home = account.home.strip("/").encode()
        if home and lookup(self._trees, self._parent, home) is None:
            edits.append(self._placed(home, Entry(b"", DIRECTORY, 0o755, account.uid, account.gid, self._mtime, 0)))
            skeleton = lookup(self._trees, self._parent, b"etc/skel")
            if skeleton is not None and skeleton.kind == DIRECTORY:
                owned = adopt(self._store, skeleton, Taken(owner=(account.uid, account.gid)), "")
                edits.append(self._placed(home, owned._replace(mode=0o755)))
        return edits

    def _rewritten(self, path: bytes, text: str, mode: int) -> Edit:
        """Return a file of the tree with other content: the rest of it stays as it is."""
        old = lookup(self._trees, self._parent, path)
        entry = Entry(b"", FILE, mode, 0, 0, 0) if old is None else old
        entry = entry._replace(digest="", size=0, mtime=self._mtime)
        return self._placed(path, self._store.objects.add(entry, text.encode("utf-8", "surrogateescape")))

    def databases(self) -> Databases:
        """Return the account files of the parent tree."""
        return read_databases(self._store, self._parent)

    # Discarding

    def _without_discarded(self, tree: Digest) -> Digest:
        if self._discard is None:
            return tree
        return edit(self._trees, tree, list(_discarded(self._store, tree, self._discard)), self._mtime)


def name_of(url: str) -> str:
    """Return what a fetched file is called: the last part of its address."""
    from envbuild.language.git_address import git_address, is_git  # only where something is fetched

    if is_git(url):
        return git_address(url).name
    return url.partition("?")[0].partition("#")[0].rstrip("/").rpartition("/")[2] or "download"


def _path_below(called: str) -> str:
    """Return the path that `copy(parents)` gives to what a source calls `called`: what follows a part that is a dot,
    else all of it."""
    below = called.rpartition("/./")[2]
    path = posixpath.normpath(below).strip("/")
    assert ".." not in path.split("/"), "the language refuses these"
    return "" if path == "." else path


def _discarded(store: Store, tree: Digest, discard: Matcher) -> Iterator[Edit]:
    for path, entry in walk(store.trees, tree):
        if discard.matches(path, entry.kind == DIRECTORY):
            yield Edit(path, None)
