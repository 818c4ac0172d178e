"""The lines that turn one tree into another by files alone, and the files that they copy.

A copied file is stored beside the recipe under its own path, in `NAME.files/`. A name that a recipe can't hold (bytes
that are not UTF-8, line ends) is never written: such a file lies alone in a directory of `NAME.odd/`, whose contents
are copied. Whatever has no content (links, removed paths, modes, owners, empty directories) is done by one script
(script_lines.py), if the tree has a shell.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator

from envbuild.drift.account_lines import Names
from envbuild.drift.script_lines import attribute_commands, link_commands, mkdir_commands, removals, script_lines
from envbuild.drift.statement_text import Line, is_plain, shell_word, word
from envbuild.record import Record
from envbuild.tree.diff import Change, aspects
from envbuild.tree.entry import DIRECTORY, FILE, LINK, ROOT_NAME, Entry

MIN_MERGED = 4
"""Lines that a merged one must replace: fewer are decisions that a reader should see one by one."""
_CLONED = (0o644, 0o755)
"""Modes that git keeps, and that a copy without `mode=` gives (build/context.py)."""
_MAX_NAMED = 4
"""Files of one directory that a line names. If there are more, and no others lie beside them, the directory is copied.
"""


class RecipeFile(Record):
    """A file, link or directory that lies beside the recipe, at `place` relative to it."""

    place: bytes
    entry: Entry


class CopyOptions(Record):
    """The options `owner` and `mode` of a copy; "" and None if they are not needed."""

    owner: str = ""
    mode: int | None = None

    @property
    def folder_mode(self) -> int:
        """The mode that a copied directory gets (build/context.py)."""
        return 0o755 if self.mode is None else self.mode | (self.mode & 0o444) >> 2

    @property
    def text(self) -> str:
        """The options as they follow the keyword."""
        parts = [f"owner={word(self.owner)}"] if self.owner else []
        parts += [f"mode={self.mode:04o}"] if self.mode is not None else []
        return f"({', '.join(parts)})" if parts else ""


class FilePlan(Record):
    """Lines in an order that works, and the files that they copy."""

    lines: tuple[Line, ...] = ()
    files: tuple[RecipeFile, ...] = ()


class _FolderCopy(Record):
    """A directory beside the recipe whose contents are copied into one of the tree."""

    source: bytes
    target: bytes
    options: CopyOptions


def plan_files(
    changes: Iterable[Change],
    stem: str,
    names: Names,
    user: str,
    folder: Callable[[bytes], Entry | None],
    *,
    script: bool,
) -> FilePlan:
    """Return the lines for these changes, one for each path (tree.diff.expanded).

    `stem` is the recipe's name, and the image runs commands as `user`. `folder` returns the instance's entry at a path.
    `script` says whether the tree has a shell and TOOLS.
    """
    planner = _FilePlanner(changes, stem, names, user, folder, script)
    return planner.plan()


class _FilePlanner:
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
        self._plain_top = os.fsencode(f"{stem}.files")
        self._odd_top = os.fsencode(f"{stem}.odd")
        self._names = names
        self._user = user
        self._folder_at = folder
        self._script = script
        self._files: list[RecipeFile] = []
        self._folders: list[_FolderCopy] = []
        self._odd_count = 0
        self._single: dict[tuple[bytes, CopyOptions], list[Entry]] = {}
        self._copied: set[bytes] = set()
        self._links: list[tuple[bytes, Entry]] = []
        self._empty: list[bytes] = []
        self._attributes: list[tuple[bytes, Entry]] = []
        self._inner: dict[bytes, list[Change]] = {}

    def plan(self) -> FilePlan:
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
        removed = removals(self._changes.values())
        changed = ((self._changes[path].before, path, entry) for path, entry in self._attributes)
        finish = [
            *mkdir_commands(self._empty),
            *link_commands(self._links, self._names),
            *attribute_commands(changed, self._names),
        ]
        # A directory that replaces a file, or the other way round, needs it removed first.
        lines = self._run(list(removed.commands)) if removed.swaps else []
        lines += copies
        lines += self._run(finish if removed.swaps else [*removed.commands, *finish])
        return FilePlan(tuple(lines), tuple(self._files))

    def _run(self, commands: list[str]) -> list[Line]:
        return script_lines(commands, self._user) if self._script else []

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

    # New directories

    def _folder(self, path: bytes, entry: Entry) -> None:
        inner = [change for change in self._inner.get(path, ()) if change.after is not None]
        content = [change for change in inner if change.after is not None and change.after.kind in (FILE, LINK)]
        if not content:
            self._empty.append(path)
            self._attributes.append((path, entry))
            return
        filled = {path, *(folder for change in content for folder in _folders_between(change.path, path))}
        members = [entry, *(c.after for c in inner if c.after is not None and _is_copied(c, filled))]
        options = self._common_options(members)
        plain = is_plain(path)
        if options is None and plain:
            self._attributes.append((path, entry))
            return  # its contents are copied one by one
        if not plain and not is_plain(path.rpartition(b"/")[0]):
            return  # nothing can be copied to a directory that can't be named
        self._copied.update(change.path for change in content)
        if plain:
            base = self._plain_top + b"/" + path
            self._folders.append(_FolderCopy(base, path, options or CopyOptions()))
        else:
            base = self._odd_place(path, options or CopyOptions())
        for change in sorted(content):
            assert change.after is not None
            self._files.append(RecipeFile(base + change.path[len(path) :], change.after))
            if options is None:
                self._attributes.append((change.path, change.after))
        for change in inner:
            if change.path in filled and change.after is not None and change.after.kind == DIRECTORY:
                self._copied.add(change.path)
                if options is None:
                    self._attributes.append((change.path, change.after))
        if options is None:
            self._attributes.append((path, entry))

    def _common_options(self, entries: list[Entry]) -> CopyOptions | None:
        """Return the options with which one line can copy all of these; None if they differ too much."""
        if len({(entry.uid, entry.gid) for entry in entries}) > 1:
            return None
        owner = self._names.owner(entries[0].uid, entries[0].gid)
        files = {entry.mode for entry in entries if entry.kind == FILE}
        folders = {entry.mode for entry in entries if entry.kind == DIRECTORY}
        if files <= set(_CLONED) and folders == {0o755}:
            return CopyOptions(owner)
        options = CopyOptions(owner, min(files, default=None))
        return options if len(files) == 1 and folders == {options.folder_mode} else None

    # Single files and links

    def _options(self, entry: Entry) -> CopyOptions:
        mode = None if entry.kind == LINK or entry.mode in _CLONED else entry.mode
        return CopyOptions(self._names.owner(entry.uid, entry.gid), mode)

    def _file(self, path: bytes, entry: Entry) -> None:
        folder, _, name = path.rpartition(b"/")
        if is_plain(path):
            self._files.append(RecipeFile(self._plain_top + b"/" + path, entry))
            self._single.setdefault((folder, self._options(entry)), []).append(entry._replace(name=name))
        elif is_plain(folder):
            self._files.append(RecipeFile(self._odd_place(path, self._options(entry)), entry))

    def _link(self, path: bytes, entry: Entry) -> None:
        has_words = shell_word(b"/" + path) is not None and shell_word(entry.target) is not None
        if self._script and has_words:
            self._links.append((path, entry))
        elif is_plain(path.rpartition(b"/")[0]):
            self._files.append(RecipeFile(self._odd_place(path, self._options(entry)), entry))

    def _odd_place(self, path: bytes, options: CopyOptions) -> bytes:
        """Return the place of a path with an odd name: alone in a directory whose contents are copied."""
        parent, _, name = path.rpartition(b"/")
        self._odd_count += 1
        place = self._odd_top + b"/%d" % self._odd_count
        self._folders.append(_FolderCopy(place, parent, options))
        return place + b"/" + name

    # Lines

    def _merge(self) -> None:
        """Copy the contents of a directory with one line if that saves many."""
        plain = [copy for copy in self._folders if copy.source.startswith(self._plain_top + b"/")]
        copies = [*((copy.target, copy.options) for copy in plain), *self._single]
        merged = merge(copies, self._folder_at, lambda entry: self._names.owner(entry.uid, entry.gid))

        def is_merged(path: bytes) -> bool:
            return any(path == folder or path.startswith(folder + b"/") for folder in merged)

        self._folders = [copy for copy in self._folders if copy not in plain or not is_merged(copy.target)]
        self._folders += [_FolderCopy(self._plain_top + b"/" + path, path, options) for path, options in merged.items()]
        self._single = {key: entries for key, entries in self._single.items() if not is_merged(key[0])}

    def _folder_lines(self) -> Iterator[Line]:
        for copy in self._folders:
            target = f"/{copy.target.decode()}/".replace("//", "/")
            yield Line(f"copy{copy.options.text} {word(copy.source.decode() + '/')} -> {word(target)}", (target,))

    def _single_lines(self) -> Iterator[Line]:
        places = [file.place for file in self._files]
        for (folder, options), entries in sorted(self._single.items(), key=lambda item: item[0][0]):
            inside = self._plain_top + b"/" + folder if folder else self._plain_top
            target = f"/{folder.decode()}".rstrip("/")
            about = tuple(f"{target}/{entry.name.decode()}" for entry in entries)
            if len(entries) > _MAX_NAMED and sum(place.startswith(inside + b"/") for place in places) == len(entries):
                yield Line(f"copy{options.text} {word(inside.decode() + '/')} -> {word(target + '/')}", about)
                continue
            sources = [word((inside + b"/" + entry.name).decode()) for entry in entries]
            if len(sources) == 1:
                yield Line(f"copy{options.text} {sources[0]} -> {word(about[0])}", about)
            else:
                yield Line(f"copy{options.text} {' '.join(sources)} -> {word(target + '/')}", about)


def merge(
    copies: Iterable[tuple[bytes, CopyOptions]],
    folder: Callable[[bytes], Entry | None],
    owner: Callable[[Entry], str],
) -> dict[bytes, CopyOptions]:
    """Return the directories whose whole contents one line may copy, each with its options. Without this, a package
    that no mirror has would take a line for each of its directories.

    `copies` are the directories of the tree that something is copied into. `folder` returns the wanted entry at a path,
    and `owner` its owner as an option says it. Copying a directory gives its own attributes to all directories inside,
    so these must be what is wanted for each.
    """
    pairs = set(copies)
    merged: dict[bytes, CopyOptions] = {}
    for path in sorted({above for target, _ in pairs for above in _ancestors(target)}):
        if any(path.startswith(done + b"/") for done in merged):
            continue
        inside = [(target, options) for target, options in pairs if target == path or target.startswith(path + b"/")]
        choices = {options for _, options in inside}
        if len(inside) < MIN_MERGED or len(choices) > 1:
            continue
        (options,) = choices
        between = {
            above for target, _ in inside for above in (target, *_ancestors(target)) if above.startswith(path + b"/")
        }
        if all(_fits(folder(below), options, owner) for below in between):
            merged[path] = options
    return merged


def _fits(entry: Entry | None, options: CopyOptions, owner: Callable[[Entry], str]) -> bool:
    return (
        entry is not None
        and entry.kind == DIRECTORY
        and entry.mode == options.folder_mode
        and owner(entry) == options.owner
        and not entry.xattrs
    )


def _ancestors(path: bytes) -> list[bytes]:
    """Return the path and the directories above it, without those right below the root: too much for one line."""
    parts = path.split(b"/")
    return [b"/".join(parts[:count]) for count in range(2, len(parts) + 1)]


def _matters(change: Change) -> bool:
    """Return whether lines can express the change: not if only its time or its extended attributes differ."""
    changed = set(aspects(change))
    return change.before is None or change.after is None or bool(changed - {"time", "xattrs"})


def _is_copied(change: Change, filled: set[bytes]) -> bool:
    return change.after is not None and (change.after.kind != DIRECTORY or change.path in filled)


def _folders_between(path: bytes, top: bytes) -> Iterator[bytes]:
    folder = path.rpartition(b"/")[0]
    while len(folder) > len(top):
        yield folder
        folder = folder.rpartition(b"/")[0]
