"""Files of the recipe's folder: which ones a `copy`, a `render` or a mount means, and their digests.

Reading is relative to directory descriptors and never follows a link, so that a link that is put in place while
we read can't lead out of the folder. Digests of files that did not change since come from the stat cache.
"""

from __future__ import annotations

import errno
import marshal
import os
import stat
import time
from collections.abc import Iterator, Sequence

from envbuild.digest import sha256
from envbuild.errors import UsageError
from envbuild.linux.nofollow import inside, open_real, read_plain
from envbuild.record import Record
from envbuild.store.objects import ContentChanged
from envbuild.store.step_cache import Stats
from envbuild.store.store import Store
from envbuild.tree.entry import DIRECTORY, FILE, LINK, Digest, Entry, digest_of, encode
from envbuild.tree.patterns import Matcher, compile_patterns

IGNORE_FILE = ".envignore"
RACY_NANOSECONDS = 100_000_000
"""A file changed this shortly before it was read may change again without a new time stamp: not remembered."""
MOST_IGNORED = 1 << 20
MOST_TEXT = 64 << 20
"""Bytes of a file that a statement reads: a template, requirements, a key."""
MAXIMUM_DEPTH = 400
ATTEMPTS = 4
"""How often a source is read when it changes meanwhile, before that is an error."""
WAIT = 0.2
"""Seconds to wait before the second attempt; twice as many before the third, and so on."""
_SWAPPED = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
"""What opening something says that was there a moment ago as another kind of thing."""
_CHUNK = 1 << 20


class ContextError(UsageError):
    """A path of the recipe's folder can't be used."""


class Found(Record):
    """A file, link or folder as it will be in a tree. `path` is where it lies; `children` only for folders.

    `read` is the (device, inode, size, mtime, ctime) when its digest was taken.
    """

    entry: Entry
    path: str
    children: tuple[Found, ...] = ()


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
        """What `source` means: one path, or all that its wildcards match, sorted.

        Times become the epoch and group and other lose the right to write, so that two clones give one digest
        whatever the umask. Without `keep` it is not among what is kept beside the image. Raises ContextError.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                found = tuple(self._select(source, exclude, epoch))
                if keep:
                    self.taken |= {f"{one.path}\0{source}": one for one in found}
                return found
            except ContentChanged:
                if attempt == ATTEMPTS:
                    raise
                time.sleep(WAIT * attempt)
        raise AssertionError("the last attempt raises or returns")

    def _select(self, source: str, exclude: Matcher | None, epoch: int) -> Iterator[Found]:
        for path in self._expand(source):
            name = os.fsencode(os.path.basename(path))
            scan = _Scan(exclude, self._ignore, self.folder, self._hidden, self._stats, epoch * 1_000_000_000)
            one = scan.take(path, name, self._shown(path))
            if one is None:
                raise ContextError(
                    f"copy: '{source}' is left out by {os.path.join(self.shown, IGNORE_FILE)} or by exclude=",
                    "change the pattern, or drop the path from the statement",
                )
            yield one

    def read(self, source: str, what: str) -> tuple[bytes, int]:
        """The bytes of one file and its mode. Raises ContextError."""
        path = self._inside(source)
        try:
            descriptor = open_real(path, os.O_RDONLY | os.O_NONBLOCK)
            with open(descriptor, "rb") as file:
                status = os.fstat(descriptor)
                if not stat.S_ISREG(status.st_mode):
                    raise ContextError(f"{what}: {self._shown(path)} is not a file", "name a plain file")
                content, mode = file.read(MOST_TEXT + 1), stat.S_IMODE(status.st_mode)
                if len(content) > MOST_TEXT:
                    raise ContextError(
                        f"{what}: {self._shown(path)} is larger than {MOST_TEXT >> 20} MiB", "name a smaller file"
                    )
                self.texts[path] = content, mode
                return content, mode
        except OSError as error:
            raise ContextError(
                f"{what}: {self._shown(path)}: {error.strerror}", f"paths are relative to {self.shown}"
            ) from error

    def real_path(self, source: str) -> str:
        """The absolute path of an existing file or folder, for a mount. Raises ContextError."""
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
        from difflib import get_close_matches  # only on a mistake

        folder, name = os.path.split(os.path.join(self.folder, source.rstrip("/")))
        near = get_close_matches(name, os.listdir(folder), 1) if os.path.isdir(folder) else []
        hint = f"did you mean '{near[0]}'?" if near else f"paths are relative to {self.shown}"
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
        """The bytes of the folder's file of patterns, None if it has none. Raises ContextError."""
        path = f"{self.folder}/{IGNORE_FILE}"
        if not os.path.lexists(path):
            return None
        shown = os.path.join(self.shown, IGNORE_FILE)
        real = inside(path, self.folder, self.root)
        if real is None:
            raise ContextError(f"{shown} leads out of the folder of the recipe", "make it a file of that folder")
        try:
            return read_plain(real, MOST_IGNORED)
        except OSError as error:
            raise ContextError(f"{shown}: {error.strerror}", "make it a plain file, or remove it") from error


class _Scan:
    """Reads one source, a folder at a time."""

    def __init__(
        self,
        exclude: Matcher | None,
        ignore: Matcher | None,
        folder: str,
        hidden: frozenset[str],
        stats: Stats,
        mtime: int,
    ) -> None:
        self._exclude = exclude
        self._ignore = ignore
        self._folder = folder
        self._hidden = hidden
        self._stats = stats
        self._mtime = mtime

    def take(self, path: str, name: bytes, shown: str) -> Found | None:
        """The file, link or folder at a real path; None if it is left out. Raises ContextError and ContentChanged."""
        try:
            return self._take(path, name, shown)
        except OSError as error:
            if error.errno in _SWAPPED:
                raise ContentChanged(shown) from error
            raise ContextError(f"{shown}: {error.strerror}") from error

    def _take(self, path: str, name: bytes, shown: str) -> Found | None:
        status = os.lstat(path)
        outer = os.path.relpath(path, self._folder)
        ignored = "" if outer == "." or outer.startswith("..") else outer
        if ignored and self._ignore is not None and self._left_out(self._ignore, ignored, status):
            return None
        if stat.S_ISDIR(status.st_mode):
            descriptor = open_real(path, os.O_RDONLY | os.O_DIRECTORY)
            return self._folder_of(descriptor, path, name, shown, ignored, "", status, 0)
        parent = open_real(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
        try:
            rows = _Rows(self._stats, os.path.dirname(path))
            found = self._item(parent, os.path.basename(path), path, name, shown, status, rows)
            rows.save()
            return found
        finally:
            os.close(parent)

    def _folder_of(
        self,
        descriptor: int,
        path: str,
        name: bytes,
        shown: str,
        ignored: str,
        excluded: str,
        status: os.stat_result,
        depth: int,
    ) -> Found:
        if depth > MAXIMUM_DEPTH:
            raise ContextError(f"{shown}: folders nested deeper than {MAXIMUM_DEPTH} are not copied")
        children = []
        rows = _Rows(self._stats, path)
        try:
            with os.scandir(descriptor) as items:
                listed = [(item.name, item.stat(follow_symlinks=False)) for item in items]
            for child, child_status in listed:
                inner_path = f"{path}/{child}"
                inner_ignored = f"{ignored}/{child}" if ignored else child
                inner_excluded = f"{excluded}/{child}" if excluded else child
                if (
                    (self._hidden and inner_path in self._hidden)
                    or (self._ignore is not None and self._matches(self._ignore, inner_ignored, child_status))
                    or (self._exclude is not None and self._matches(self._exclude, inner_excluded, child_status))
                ):
                    continue
                child_name = os.fsencode(child)
                inner_shown = f"{shown}/{child}"
                if stat.S_ISDIR(child_status.st_mode):
                    inner = os.open(
                        child, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=descriptor
                    )
                    children.append(
                        self._folder_of(
                            inner,
                            inner_path,
                            child_name,
                            inner_shown,
                            inner_ignored,
                            inner_excluded,
                            child_status,
                            depth + 1,
                        )
                    )
                else:
                    children.append(
                        self._item(descriptor, child, inner_path, child_name, inner_shown, child_status, rows)
                    )
        except OSError as error:
            if error.errno in _SWAPPED:
                raise ContentChanged(shown) from error
            raise ContextError(f"{shown}: {error.strerror}") from error
        finally:
            os.close(descriptor)
        rows.save()
        body = encode([child.entry for child in children])
        entry = Entry(name, DIRECTORY, _mode(status), 0, 0, self._mtime, 0, digest_of(body))
        return Found(entry, path, tuple(children))

    def _item(
        self,
        parent: int,
        child: str,
        path: str,
        name: bytes,
        shown: str,
        status: os.stat_result,
        rows: _Rows,
    ) -> Found:
        if stat.S_ISREG(status.st_mode):
            digest, size = rows.digest(child, status, parent)
            return Found(Entry(name, FILE, _mode(status), 0, 0, self._mtime, size, digest), path)
        if stat.S_ISLNK(status.st_mode):
            target = os.fsencode(os.readlink(child, dir_fd=parent))
            return Found(Entry(name, LINK, 0o777, 0, 0, self._mtime, 0, "", target), path)
        raise ContextError(
            f"{shown} is neither a file, a folder nor a link",
            f"leave it out with exclude= or a line in {IGNORE_FILE}",
        )

    def _matches(self, matcher: Matcher, path: str, status: os.stat_result) -> bool:
        return matcher.matches(os.fsencode(path), stat.S_ISDIR(status.st_mode))

    def _left_out(self, matcher: Matcher, path: str, status: os.stat_result) -> bool:
        """Whether the path or a folder above it is matched: what lies in an ignored folder is ignored."""
        parts = path.split("/")
        above = ("/".join(parts[:count]) for count in range(1, len(parts)))
        return any(matcher.matches(os.fsencode(folder), True) for folder in above) or self._matches(
            matcher, path, status
        )


class _Rows:
    """The remembered digests of one folder's files."""

    def __init__(self, stats: Stats, folder: str) -> None:
        self._stats = stats
        self._folder = os.fsencode(folder)
        self._known: dict[str, tuple[int, int, int, int, Digest]] = {}
        stored = stats.get(self._folder)
        if stored is not None:
            try:
                self._known = marshal.loads(stored)
            except (ValueError, EOFError, TypeError):
                self._known = {}
        self._changed = False
        self._now = time.time_ns()

    def digest(self, name: str, status: os.stat_result, parent: int) -> tuple[Digest, int]:
        """The digest and size of a file whose lstat gave `status`."""
        known = self._known.get(name)
        if known is not None and known[:4] == _mark(status):
            return known[4], status.st_size
        digest, read = hash_file(name, parent)
        if self._now - max(read.st_mtime_ns, read.st_ctime_ns) > RACY_NANOSECONDS:
            self._known[name] = (*_mark(read), digest)
            self._changed = True
        return digest, read.st_size

    def save(self) -> None:
        if self._changed:
            self._stats.put(self._folder, marshal.dumps(self._known))


def hash_file(name: str, parent: int) -> tuple[Digest, os.stat_result]:
    """The digest of a file in the folder open as `parent`, and its status as it was read."""
    # O_NONBLOCK: should the file have been swapped for a FIFO, opening it must not wait for a writer.
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ContentChanged(name)
        state = sha256()
        while chunk := os.read(descriptor, _CHUNK):
            state.update(chunk)
        return state.hexdigest(), status
    finally:
        os.close(descriptor)


def _mark(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _mode(status: os.stat_result) -> int:
    return stat.S_IMODE(status.st_mode) & 0o755
