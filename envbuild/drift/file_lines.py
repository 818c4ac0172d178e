"""The lines that make one tree of another by files alone, and the files that they copy.

What is copied is laid beside the recipe under its own path, in `NAME.files/`. A name that a recipe can't hold (bytes
that are no UTF-8, line ends) is never written: such a file lies alone in a folder of `NAME.odd/`, whose contents are
copied. Whatever has no content (links, removed paths, modes, owners, empty folders) is done by one script, if the tree
has a shell.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator

from envbuild.drift.account_lines import Names
from envbuild.drift.merged_copies import Way, merge
from envbuild.drift.statement_text import Line, as_root, block, is_plain, shell_word, word
from envbuild.record import Record
from envbuild.tree.diff import Change, aspects
from envbuild.tree.entry import DIRECTORY, FILE, LINK, ROOT_NAME, Entry

TOOLS = ("rm", "ln", "mkdir", "chmod", "chown")
"""The programs that the script uses."""
_CLONED = (0o644, 0o755)
"""Modes that git keeps, and that a copy without `mode=` gives (build/context.py)."""
_AT_ONCE = 6
"""Paths that stand in one line of the script."""
_ONE_BY_ONE = 4
"""Files of one folder that are named in a line; more are copied with the folder that they lie in, if no other does."""


class Laid(Record):
    """A file, link or folder that lies beside the recipe, at `place` relative to it."""

    place: bytes
    entry: Entry


class Plan(Record):
    """Lines in an order that works, and what they copy."""

    lines: tuple[Line, ...] = ()
    laid: tuple[Laid, ...] = ()


class _Folder(Record):
    """A folder beside the recipe whose contents are copied into one of the tree."""

    source: bytes
    target: bytes
    way: Way


def plan_files(
    changes: Iterable[Change],
    stem: str,
    names: Names,
    user: str,
    folder: Callable[[bytes], Entry | None],
    *,
    script: bool,
) -> Plan:
    """The lines for these changes, one for each path (tree.diff.expanded).

    `stem` is what the recipe is called, `user` whom the image runs commands as; `folder` gives what the instance has at
    a path; `script` says whether the tree has a shell and TOOLS.
    """
    planner = _Planner(changes, stem, names, user, folder, script)
    return planner.plan()


class _Planner:
    def __init__(
        self,
        changes: Iterable[Change],
        stem: str,
        names: Names,
        user: str,
        folder: Callable[[bytes], Entry | None],
        script: bool,
    ) -> None:
        self._changes = {change.path: change for change in changes if _matters(change)}
        self._files = os.fsencode(f"{stem}.files")
        self._odd = os.fsencode(f"{stem}.odd")
        self._names = names
        self._user = user
        self._folder_at = folder
        self._script = script
        self._laid: list[Laid] = []
        self._folders: list[_Folder] = []
        self._alone = 0
        self._single: dict[tuple[bytes, Way], list[Entry]] = {}
        self._copied: set[bytes] = set()
        self._links: list[tuple[bytes, Entry]] = []
        self._empty: list[bytes] = []
        self._attributes: list[tuple[bytes, Entry]] = []
        self._inner: dict[bytes, list[Change]] = {}

    def plan(self) -> Plan:
        for change in self._changes.values():
            folder = change.path.rpartition(b"/")[0]
            while folder:
                self._inner.setdefault(folder, []).append(change)
                folder = folder.rpartition(b"/")[0]
        for path in sorted(self._changes):
            if path not in self._copied:
                self._take(self._changes[path])
        self._merge()
        copies = [*self._folder_lines(), *self._single_lines()]
        removals, swaps = self._removals()
        finish = [*self._made(), *self._linked(), *self._attributed()]
        # A folder that takes the place of a file, or the other way round, needs that out of its way first.
        lines = self._scripts(removals) if swaps else []
        lines += copies
        lines += self._scripts(finish if swaps else [*removals, *finish])
        return Plan(tuple(lines), tuple(self._laid))

    def _take(self, change: Change) -> None:
        after = change.after
        if after is None:
            return
        made = change.before is None or change.before.kind != after.kind
        if after.kind == DIRECTORY:
            if made and change.path != ROOT_NAME:
                self._folder(change.path, after)
            else:
                self._attributes.append((change.path, after))
        elif after.kind == LINK:
            if made or "target" in aspects(change):
                self._link(change.path, after)
            else:
                self._attributes.append((change.path, after))
        elif after.kind == FILE:
            if made or "content" in aspects(change) or not self._script:
                self._file(change.path, after)
            else:
                self._attributes.append((change.path, after))

    # Folders that are new

    def _folder(self, path: bytes, entry: Entry) -> None:
        inner = [change for change in self._inner.get(path, ()) if change.after is not None]
        content = [change for change in inner if change.after is not None and change.after.kind in (FILE, LINK)]
        if not content:
            self._empty.append(path)
            self._attributes.append((path, entry))
            return
        filled = {path, *(folder for change in content for folder in _above(change.path, path))}
        members = [entry, *(one.after for one in inner if one.after is not None and _counts(one, filled))]
        way = self._way_of_all(members)
        plain = is_plain(path)
        if way is None and plain:
            self._attributes.append((path, entry))
            return  # what is in it is copied for itself
        if not plain and not is_plain(path.rpartition(b"/")[0]):
            return  # nothing can be copied to a folder that can't be named
        self._copied.update(change.path for change in content)
        if plain:
            base = self._files + b"/" + path
            self._folders.append(_Folder(base, path, way or Way("", None)))
        else:
            base = self._beside(path, way or Way("", None))
        for change in sorted(content):
            assert change.after is not None
            self._laid.append(Laid(base + change.path[len(path) :], change.after))
            if way is None:
                self._attributes.append((change.path, change.after))
        for change in inner:
            if change.path in filled and change.after is not None and change.after.kind == DIRECTORY:
                self._copied.add(change.path)
                if way is None:
                    self._attributes.append((change.path, change.after))
        if way is None:
            self._attributes.append((path, entry))

    def _way_of_all(self, entries: list[Entry]) -> Way | None:
        """How one line can copy all of these; None if they differ too much."""
        if len({(one.uid, one.gid) for one in entries}) > 1:
            return None
        owner = self._names.owner(entries[0].uid, entries[0].gid)
        files = {one.mode for one in entries if one.kind == FILE}
        folders = {one.mode for one in entries if one.kind == DIRECTORY}
        if files <= set(_CLONED) and folders == {0o755}:
            return Way(owner, None)
        way = Way(owner, min(files, default=None))
        return way if len(files) == 1 and folders == {way.folder_mode} else None

    # Single files and links

    def _way(self, entry: Entry) -> Way:
        mode = None if entry.kind == LINK or entry.mode in _CLONED else entry.mode
        return Way(self._names.owner(entry.uid, entry.gid), mode)

    def _file(self, path: bytes, entry: Entry) -> None:
        folder, _, name = path.rpartition(b"/")
        if is_plain(path):
            self._laid.append(Laid(self._files + b"/" + path, entry))
            self._single.setdefault((folder, self._way(entry)), []).append(entry._replace(name=name))
        elif is_plain(folder):
            self._laid.append(Laid(self._beside(path, self._way(entry)), entry))

    def _link(self, path: bytes, entry: Entry) -> None:
        said = shell_word(b"/" + path) is not None and shell_word(entry.target) is not None
        if self._script and said:
            self._links.append((path, entry))
        elif is_plain(path.rpartition(b"/")[0]):
            self._laid.append(Laid(self._beside(path, self._way(entry)), entry))

    def _beside(self, path: bytes, way: Way) -> bytes:
        """The place of what is copied with a folder of its own, in which it lies alone."""
        parent, _, name = path.rpartition(b"/")
        self._alone += 1
        place = self._odd + b"/%d" % self._alone
        self._folders.append(_Folder(place, parent, way))
        return place + b"/" + name

    # Lines

    def _merge(self) -> None:
        """Copies the contents of a folder at once where that saves many lines."""
        plain = [one for one in self._folders if one.source.startswith(self._files + b"/")]
        copies = [*((one.target, one.way) for one in plain), *self._single]
        found = merge(copies, self._folder_at, lambda entry: self._names.owner(entry.uid, entry.gid))

        def is_merged(path: bytes) -> bool:
            return any(path == one or path.startswith(one + b"/") for one in found)

        self._folders = [one for one in self._folders if one not in plain or not is_merged(one.target)]
        self._folders += [_Folder(self._files + b"/" + path, path, way) for path, way in found.items()]
        self._single = {key: entries for key, entries in self._single.items() if not is_merged(key[0])}

    def _folder_lines(self) -> Iterator[Line]:
        for one in self._folders:
            target = f"/{one.target.decode()}/".replace("//", "/")
            yield Line(f"copy{_options(one.way)} {word(one.source.decode() + '/')} -> {word(target)}", (target,))

    def _single_lines(self) -> Iterator[Line]:
        places = [one.place for one in self._laid]
        for (folder, way), entries in sorted(self._single.items(), key=lambda item: item[0][0]):
            inside = self._files + b"/" + folder if folder else self._files
            target = f"/{folder.decode()}".rstrip("/")
            about = tuple(f"{target}/{entry.name.decode()}" for entry in entries)
            if len(entries) > _ONE_BY_ONE and sum(one.startswith(inside + b"/") for one in places) == len(entries):
                yield Line(f"copy{_options(way)} {word(inside.decode() + '/')} -> {word(target + '/')}", about)
                continue
            sources = [word((inside + b"/" + entry.name).decode()) for entry in entries]
            if len(sources) == 1:
                yield Line(f"copy{_options(way)} {sources[0]} -> {word(about[0])}", about)
            else:
                yield Line(f"copy{_options(way)} {' '.join(sources)} -> {word(target + '/')}", about)

    def _removals(self) -> tuple[list[str], bool]:
        """The commands that take paths away, and whether something else comes in the place of one."""
        gone: list[bytes] = []
        swaps = False
        for path in sorted(self._changes):
            before, after = self._changes[path].before, self._changes[path].after
            swapped = before is not None and after is not None and before.kind != after.kind
            swapped = swapped and DIRECTORY in (before.kind if before else "", after.kind if after else "")
            if before is None or (after is not None and not swapped):
                continue
            if any(path.startswith(one + b"/") for one in gone):
                continue
            gone.append(path)
            swaps = swaps or swapped
        return _grouped("rm -rf --", gone), swaps

    def _made(self) -> list[str]:
        return _grouped("mkdir -p --", sorted(self._empty))

    def _linked(self) -> Iterator[str]:
        for path, entry in self._links:
            # -n: a link to a folder that is there already is replaced, and not entered.
            yield f"ln -sfn -- {shell_word(entry.target)} {shell_word(b'/' + path)}"
        owned = [(path, entry) for path, entry in self._links if (entry.uid, entry.gid) != (0, 0)]
        for owner in dict.fromkeys(self._owner(entry) for _, entry in owned):
            yield from _grouped(f"chown -h {owner} --", [p for p, entry in owned if self._owner(entry) == owner])

    def _attributed(self) -> Iterator[str]:
        """The commands for owners and modes; owners first, as a change of owner takes a set-user-id bit away."""
        owners: dict[str, list[bytes]] = {}
        modes: dict[int, list[bytes]] = {}
        for path, entry in self._attributes:
            before = self._changes[path].before
            is_new = before is None or before.kind != entry.kind
            old = Entry(b"", entry.kind, 0o755, 0, 0, 0) if is_new or before is None else before
            if (old.uid, old.gid) != (entry.uid, entry.gid):
                owners.setdefault(self._owner(entry), []).append(path)
            if entry.kind != LINK and (old.mode != entry.mode or (entry.kind == FILE and is_new)):
                modes.setdefault(entry.mode, []).append(path)
        for owner, paths in owners.items():
            yield from _grouped(f"chown -h {owner} --", paths)
        for mode, paths in sorted(modes.items()):
            yield from _grouped(f"chmod {mode:04o} --", paths)

    def _owner(self, entry: Entry) -> str:
        return self._names.pair(entry.uid, entry.gid)

    def _scripts(self, commands: list[str]) -> list[Line]:
        if not commands or not self._script:
            return []
        head = f"run{as_root(self._user)}"
        return [Line(f"{head} {commands[0]}" if len(commands) == 1 else block(head, commands), ("script",))]


def _options(way: Way) -> str:
    parts = [f"owner={word(way.owner)}"] if way.owner else []
    parts += [f"mode={way.mode:04o}"] if way.mode is not None else []
    return f"({', '.join(parts)})" if parts else ""


def _matters(change: Change) -> bool:
    """Whether lines can do something about it: not if its time or its extended attributes alone differ."""
    found = set(aspects(change))
    return change.before is None or change.after is None or bool(found - {"time", "xattrs"})


def _counts(change: Change, filled: set[bytes]) -> bool:
    return change.after is not None and (change.after.kind != DIRECTORY or change.path in filled)


def _above(path: bytes, top: bytes) -> Iterator[bytes]:
    folder = path.rpartition(b"/")[0]
    while len(folder) > len(top):
        yield folder
        folder = folder.rpartition(b"/")[0]


def _grouped(command: str, paths: list[bytes]) -> list[str]:
    words = [said for path in paths if (said := shell_word(b"/" if path == ROOT_NAME else b"/" + path)) is not None]
    return [" ".join([command, *words[at : at + _AT_ONCE]]) for at in range(0, len(words), _AT_ONCE)]
