"""Files of the recipe's folder: which ones a `copy`, a `render` or a mount means, and how they get into the store."""

from __future__ import annotations

import os
import stat
import time

from envbuild.build.context_scan import IGNORE_FILE, ContextError, Found, Scan
from envbuild.linux.nofollow import RealFiles, inside, open_real, read_plain
from envbuild.store.objects import ContentChanged
from envbuild.store.store import Store
from envbuild.text.suggestion import did_you_mean
from envbuild.tree.entry import FILE, LINK, Entry
from envbuild.tree.patterns import Matcher, compile_patterns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


MAX_IGNORED = 1 << 20
"""Bytes of a file of patterns."""
MAX_TEXT = 64 << 20
"""Bytes of a file that a statement reads: a template, requirements, a key."""
ATTEMPTS = 4
"""How often a source is read when it changes meanwhile, before that is an error."""
WAIT = 0.2
"""Seconds to wait before the second attempt; twice as many before the third, and so on."""


class Context:
    """One folder that paths in statements are relative to."""

    def __init__(self, folder: str, root: str, store: Store, hidden: Sequence[str] = ()) -> None:
        """`root` is the recipe's own folder: an included statement may reach its own folder and that one.
        `hidden` are real paths that are never copied (the recipe's lock, which each build rewrites)."""
        self.folder = os.path.realpath(folder)
        self.root = os.path.realpath(root)
        self.shown = folder
        self._stats = store.stats
        self._hidden = frozenset(hidden)
        self._ignore = self._read_ignore()
        self.taken: dict[str, Found] = {}
        """What statements took, by its path and what they called it."""
        self.texts: dict[str, tuple[bytes, int]] = {}
        """What statements read, by its path, with its mode."""

    def select(self, source: str, exclude: Matcher | None, epoch: int, *, keep: bool = True) -> tuple[Found, ...]:
        """Return what `source` means: one path, or all that its wildcards match, sorted.

        Times become the epoch and group and other lose the right to write, so that two clones give one digest
        whatever the umask. Without `keep` it is not among what is kept beside the image. Raises ContextError.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                found = tuple(self._select(source, exclude, epoch))
                if keep:
                    self.taken |= {f"{item.path}\0{source}": item for item in found}
                return found
            except ContentChanged:
                if attempt == ATTEMPTS:
                    raise
                time.sleep(WAIT * attempt)
        raise AssertionError("the last attempt raises or returns")

    def _select(self, source: str, exclude: Matcher | None, epoch: int) -> Iterator[Found]:
        for path in self._expand(source):
            name = os.fsencode(os.path.basename(path))
            scan = Scan(exclude, self._ignore, self.folder, self._hidden, self._stats, epoch * 1_000_000_000)
            found = scan.take(path, name, self._shown(path))
            if found is None:
                raise ContextError(
                    f"copy: '{source}' is left out by {os.path.join(self.shown, IGNORE_FILE)} or by exclude=",
                    "change the pattern, or drop the path from the statement",
                )
            yield found

    def read(self, source: str, what: str) -> tuple[bytes, int]:
        """Return the bytes of one file and its mode. Raises ContextError."""
        path = self._inside(source)
        try:
            descriptor = open_real(path, os.O_RDONLY | os.O_NONBLOCK)
            with open(descriptor, "rb") as file:
                status = os.fstat(descriptor)
                if not stat.S_ISREG(status.st_mode):
                    raise ContextError(f"{what}: {self._shown(path)} is not a file", "name a plain file")
                content, mode = file.read(MAX_TEXT + 1), stat.S_IMODE(status.st_mode)
                if len(content) > MAX_TEXT:
                    raise ContextError(
                        f"{what}: {self._shown(path)} is larger than {MAX_TEXT >> 20} MiB", "name a smaller file"
                    )
                self.texts[path] = content, mode
                return content, mode
        except OSError as error:
            raise ContextError(
                f"{what}: {self._shown(path)}: {error.strerror}", f"paths are relative to {self.shown}"
            ) from error

    def real_path(self, source: str) -> str:
        """Return the absolute path of an existing file or folder, for a mount. Raises ContextError."""
        path = self._inside(source)
        if not os.path.exists(path):
            raise self._missing(source)
        return path

    def _inside(self, source: str) -> str:
        if os.path.isabs(source):
            raise ContextError(
                f"'{source}' is an absolute path; files come from the folder of the recipe, {self.shown}",
                "copy it there first, or use a path relative to the recipe",
            )
        path = os.path.realpath(os.path.join(self.folder, source))
        for allowed in (self.folder, self.root):
            if path == allowed or path.startswith(allowed.rstrip("/") + "/"):
                return path
        raise ContextError(
            f"'{source}' leads out of the folder of the recipe, {self.shown}, to {path}",
            "move the file there, or the recipe up",
        )

    def _expand(self, source: str) -> list[str]:
        path = self._inside(source)
        if os.path.lexists(path):
            return [path]
        if not any(mark in source for mark in "*?["):
            raise self._missing(source)
        import fnmatch  # only where there is a pattern

        head, _, pattern = source.rstrip("/").rpartition("/")
        parents = self._expand(head) if head else [self.folder]
        matches = []
        for parent in parents:
            if os.path.isdir(parent):
                names = fnmatch.filter(os.listdir(parent), pattern)
                matches += [os.path.join(parent, name) for name in names if pattern[0] == "." or name[0] != "."]
        if not matches:
            raise self._missing(source)
        return sorted(matches)

    def _missing(self, source: str) -> ContextError:
        folder, name = os.path.split(os.path.join(self.folder, source.rstrip("/")))
        names = os.listdir(folder) if os.path.isdir(folder) else []
        hint = did_you_mean(name, names, f"paths are relative to {self.shown}")
        return ContextError(f"'{source}' is not in the folder of the recipe, {self.shown}", hint)

    def _shown(self, path: str) -> str:
        return os.path.normpath(os.path.join(self.shown, os.path.relpath(path, self.folder)))

    def _read_ignore(self) -> Matcher | None:
        content = self.ignore_content()
        shown = os.path.join(self.shown, IGNORE_FILE)
        try:
            return None if content is None else compile_patterns(content.decode().splitlines())
        except UnicodeDecodeError as error:
            raise ContextError(f"{shown}: {error}") from error

    def ignore_content(self) -> bytes | None:
        """Return the bytes of the folder's file of patterns, None if it has none. Raises ContextError."""
        path = f"{self.folder}/{IGNORE_FILE}"
        if not os.path.lexists(path):
            return None
        shown = os.path.join(self.shown, IGNORE_FILE)
        real = inside(path, self.folder, self.root)
        if real is None:
            raise ContextError(f"{shown} leads out of the folder of the recipe", "make it a file of that folder")
        try:
            return read_plain(real, MAX_IGNORED)
        except OSError as error:
            raise ContextError(f"{shown}: {error.strerror}", "make it a plain file, or remove it") from error


def keep(store: Store, found: Found, owner: tuple[int, int], mode: int | None, files: RealFiles) -> Entry:
    """Put a file or folder of the context into the store with this owner and, unless None, this mode for its files and
    folders; return its entry. Raises ContentChanged where it is not what it was when it was found."""
    entry = found.entry._replace(uid=owner[0], gid=owner[1])
    if entry.kind == FILE:
        if mode is not None:
            entry = entry._replace(mode=mode)
        return entry if store.objects.has(entry) else _read(store, entry, found.path, files)
    if entry.kind == LINK:
        return entry
    if mode is None and owner == (0, 0) and store.trees.has(entry.digest) and not store.lost.identities():
        return entry
    children = [keep(store, child, owner, mode, files) for child in found.children]
    return with_mode(entry._replace(digest=store.trees.save(children)), mode)


def with_mode(entry: Entry, mode: int | None) -> Entry:
    """Return a folder whose files get `mode`: it may be entered wherever `mode` gives the right to read."""
    return entry if mode is None else entry._replace(mode=mode | (mode & 0o444) >> 2)


def _read(store: Store, entry: Entry, path: str, files: RealFiles) -> Entry:
    try:
        # O_NONBLOCK: should it have been swapped for a FIFO, opening it must not wait for a writer.
        descriptor = files.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise ContentChanged(path) from error
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return store.objects.add(entry, descriptor)
    except ContentChanged:
        pass
    finally:
        os.close(descriptor)
    raise ContentChanged(path)
