"""The scan of a recipe's folder: what lies at a path, as it will be in a tree.

Reading is relative to directory descriptors and never follows a link, so that a link that is put in place while
we read can't lead out of the folder. Digests of files that did not change since come from the stat cache.
"""

from __future__ import annotations

import errno
import marshal
import os
import stat
import time

from envbuild.build.context_ignore import IGNORE_FILES, ContextError, ContextUnreadable, Ignored, is_left_out_everywhere
from envbuild.digest import Sha256
from envbuild.errors import fields
from envbuild.linux.nofollow import open_real
from envbuild.record import Record
from envbuild.store.step_cache import ContentChanged, Stats
from envbuild.tree.entry import DIRECTORY, FILE, LINK, Digest, Entry, digest_of, encode
from envbuild.tree.times import SECOND, content_time

RACY_NANOSECONDS = 100_000_000
"""A file changed this shortly before it was read may change again without a new time stamp: not remembered."""
MAX_DEPTH = 400
_SWAPPED = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
"""What opening something says that was there a moment ago as another kind of thing."""
_CHUNK = 1 << 20

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.tree.patterns import Matcher


@fields
class FoldersTooDeep(ContextError):
    """Folders within folders without end."""

    path: str

    def text(self) -> tuple[str, str]:
        return f"{self.path}: folders nested deeper than {MAX_DEPTH} are not copied", ""


@fields
class NotToBeCopied(ContextError):
    """A device, a socket or a FIFO."""

    path: str

    def text(self) -> tuple[str, str]:
        return (
            f"{self.path} is neither a file, a folder nor a link",
            f"leave it out with exclude= or a line in {IGNORE_FILES[0]}",
        )


class ContextItem(Record):
    """A file, link or folder as it will be in a tree. `path` is where it lies; `children` only for folders.

    `read` is the (device, inode, size, mtime, ctime) when its digest was taken.
    """

    entry: Entry
    path: str
    children: tuple[ContextItem, ...] = ()
    called: str = ""
    """What a source calls it in its folder, with wildcards replaced."""


class Choice(Record):
    """What a statement takes of its sources. Of folders, only what `include` matches, with what lies in it, and nothing
    that `exclude` does; with `optional`, a source may mean nothing."""

    include: Matcher | None = None
    exclude: Matcher | None = None
    optional: bool = False

    @property
    def patterns(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The patterns of both kinds, as they are written."""
        include, exclude = self.include, self.exclude
        return include.source if include is not None else (), exclude.source if exclude is not None else ()


class Scan:
    """Reads one source, a folder at a time. `left_out` are the paths that no statement named and no pattern, of what
    is left out everywhere."""

    def __init__(
        self,
        choice: Choice,
        ignored: Ignored,
        folder: str,
        hidden: frozenset[str],
        stats: Stats,
        mtime: int,
        *,
        named: bool,
    ) -> None:
        """With `named`, nothing is left out but what the folder's own patterns say."""
        self._exclude = choice.exclude
        self._include = choice.include
        self._everywhere = not named
        self._ignore = ignored.own if named else ignored.all
        self._reopens = ignored.reopens
        self.left_out: list[str] = []
        self._folder = folder
        self._hidden = hidden
        self._stats = stats
        self._mtime = mtime

    def take(self, path: str, name: bytes, shown: str) -> ContextItem | None:
        """Return what lies at a real path; None if it is left out. Raises ContextError and ContentChanged."""
        try:
            return self._take(path, name, shown)
        except OSError as error:
            if error.errno in _SWAPPED:
                raise ContentChanged(shown) from error
            raise ContextUnreadable(shown, str(error.strerror)) from error

    def _take(self, path: str, name: bytes, shown: str) -> ContextItem | None:
        status = os.lstat(path)
        outer = os.path.relpath(path, self._folder)
        ignored = "" if outer == "." or outer.startswith("..") else outer
        if ignored and self._ignore is not None and self._left_out(self._ignore, ignored, status):
            return None
        if stat.S_ISDIR(status.st_mode):
            descriptor = open_real(path, os.O_RDONLY | os.O_DIRECTORY)
            item = self._folder_of(descriptor, path, name, shown, ignored, "", status, 0, self._include is None)
            return item if item.children or self._include is None else None
        parent = open_real(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
        try:
            rows = _Rows(self._stats, os.path.dirname(path))
            item = self._item(parent, os.path.basename(path), path, name, shown, status, rows)
            rows.save()
            return item
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
        included: bool,
    ) -> ContextItem:
        if depth > MAX_DEPTH:
            raise FoldersTooDeep(shown)
        children = []
        rows = _Rows(self._stats, path)
        try:
            with os.scandir(descriptor) as items:
                listed = [(item.name, item.stat(follow_symlinks=False)) for item in items]
            for child, child_status in listed:
                inner_path = f"{path}/{child}"
                inner_ignored = f"{ignored}/{child}" if ignored else child
                inner_excluded = f"{excluded}/{child}" if excluded else child
                inner_shown = f"{shown}/{child}"
                if (self._hidden and inner_path in self._hidden) or (
                    self._exclude is not None and self._matches(self._exclude, inner_excluded, child_status)
                ):
                    continue
                reopened = False
                if self._is_ignored(child, inner_ignored, inner_shown, child_status):
                    reopened = self._reopens and stat.S_ISDIR(child_status.st_mode)
                    if not reopened:
                        continue
                whole = included or (
                    self._include is not None and self._matches(self._include, inner_excluded, child_status)
                )
                child_name = os.fsencode(child)
                if stat.S_ISDIR(child_status.st_mode):
                    inner = os.open(
                        child, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=descriptor
                    )
                    folder = self._folder_of(
                        inner,
                        inner_path,
                        child_name,
                        inner_shown,
                        inner_ignored,
                        inner_excluded,
                        child_status,
                        depth + 1,
                        whole,
                    )
                    if folder.children or (whole and not reopened):
                        children.append(folder)
                elif whole:
                    children.append(
                        self._item(descriptor, child, inner_path, child_name, inner_shown, child_status, rows)
                    )
        except OSError as error:
            if error.errno in _SWAPPED:
                raise ContentChanged(shown) from error
            raise ContextUnreadable(shown, str(error.strerror)) from error
        finally:
            os.close(descriptor)
        rows.save()
        body = encode([child.entry for child in children])
        entry = Entry(name, DIRECTORY, mode_of(status), 0, 0, self._mtime, 0, digest_of(body))
        return ContextItem(entry, path, tuple(children))

    def _item(
        self,
        parent: int,
        child: str,
        path: str,
        name: bytes,
        shown: str,
        status: os.stat_result,
        rows: _Rows,
    ) -> ContextItem:
        if stat.S_ISREG(status.st_mode):
            digest, size = rows.digest(child, status, parent)
            time = content_time(self._mtime // SECOND, digest)
            return ContextItem(Entry(name, FILE, mode_of(status), 0, 0, time, size, digest), path)
        if stat.S_ISLNK(status.st_mode):
            target = os.fsencode(os.readlink(child, dir_fd=parent))
            return ContextItem(Entry(name, LINK, 0o777, 0, 0, self._mtime, 0, "", target), path)
        raise NotToBeCopied(shown)

    def _is_ignored(self, name: str, path: str, shown: str, status: os.stat_result) -> bool:
        """Return whether what lies in a folder is left out. `path` is relative to the folder of the patterns."""
        everywhere = self._everywhere and is_left_out_everywhere(name)
        ignored = everywhere if self._ignore is None else self._matches(self._ignore, path, status)
        if ignored and everywhere:
            self.left_out.append(shown)
        return ignored

    def _matches(self, matcher: Matcher, path: str, status: os.stat_result) -> bool:
        return matcher.matches(os.fsencode(path), stat.S_ISDIR(status.st_mode))

    def _left_out(self, matcher: Matcher, path: str, status: os.stat_result) -> bool:
        """Return whether the path or a folder above it matches: what lies in an ignored folder is ignored."""
        if self._reopens:
            # The patterns say it of all that lies in a folder, too; and a folder may have what is not left out.
            return not stat.S_ISDIR(status.st_mode) and self._matches(matcher, path, status)
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
        """Return the digest and size of a file whose lstat gave `status`."""
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
    """Return the digest of a file in the folder open as `parent`, and its status as it was read."""
    # O_NONBLOCK: should the file have been swapped for a FIFO, opening it must not wait for a writer.
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ContentChanged(name)
        state = Sha256()
        while chunk := os.read(descriptor, _CHUNK):
            state.update(chunk)
        return state.hexdigest(), status
    finally:
        os.close(descriptor)


def _mark(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def mode_of(status: os.stat_result) -> int:
    """Return the mode that a file or folder of the context has in a tree. Whether its owner may execute it is all that
    counts, and all that git keeps: the rest is the umask of whoever made the clone."""
    return 0o755 if stat.S_ISDIR(status.st_mode) or status.st_mode & stat.S_IXUSR else 0o644
