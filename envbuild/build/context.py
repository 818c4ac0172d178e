"""Files of the recipe's folder: which ones a `copy`, a `render` or a mount means, and how they get into the store."""

from __future__ import annotations

import os
import stat
import time

from envbuild.build.context_ignore import (
    LOCKS,
    ContextError,
    ContextUnreadable,
    Ignored,
    is_left_out_everywhere,
    read_ignored,
)
from envbuild.build.context_scan import Choice, ContextItem, Scan, mode_of
from envbuild.errors import fields
from envbuild.linux.nofollow import RealFiles, inside, open_real
from envbuild.store.step_cache import ContentChanged
from envbuild.store.store import Store
from envbuild.tree.entry import FILE, LINK, Entry
from envbuild.tree.file_mode import Mode, with_mode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from envbuild.tree.times import Clock

MAX_TEXT = 64 << 20
"""Bytes of a file that a statement reads: a template, requirements, a key."""
MAX_ATTEMPTS = 4
"""How often a source is read when it changes meanwhile, before that is an error."""
WAIT = 0.2
"""Seconds to wait before the second attempt; twice as many before the third, and so on."""


@fields
class ContextOutside(ContextError):
    """The folder that a recipe takes its files from lies outside of where they may come from."""

    folder: str
    project: str

    def text(self) -> tuple[str, str]:
        return (
            f"the context {self.folder} leads out of {self.project}",
            "files come from the repository that the recipe lies in, or from its folder",
        )


@fields
class NothingIncluded(ContextError):
    """Nothing in a directory is what a copy takes of it."""

    source: str

    def text(self) -> tuple[str, str]:
        return (
            f"copy: nothing of '{self.source}' is matched by include=",
            "patterns are as in .envignore, relative to the directory; copy(optional) takes what there is",
        )


@fields
class SourceLeftOut(ContextError):
    """What a copy names is what the patterns leave out."""

    source: str
    patterns: str

    def text(self) -> tuple[str, str]:
        return (
            f"copy: '{self.source}' is left out by {self.patterns} or by exclude=",
            "change the pattern, or drop the path from the statement",
        )


@fields
class SourceNotAFile(ContextError):
    """A statement that takes a text names something else; `what` is the statement."""

    what: str
    path: str

    def text(self) -> tuple[str, str]:
        return f"{self.what}: {self.path} is not a file", "name a plain file"


@fields
class SourceTooLarge(ContextError):
    """A statement that takes a text names a file that is none."""

    what: str
    path: str

    def text(self) -> tuple[str, str]:
        return f"{self.what}: {self.path} is larger than {MAX_TEXT >> 20} MiB", "name a smaller file"


@fields
class AbsoluteSource(ContextError):
    """A path of the whole machine; `named_by` says whose folder files come from."""

    source: str
    named_by: str
    folder: str

    def text(self) -> tuple[str, str]:
        return (
            f"'{self.source}' is an absolute path; files come from {self.named_by}, {self.folder}",
            "copy it there first, or use a path relative to the recipe",
        )


@fields
class SourceOutside(ContextError):
    """A path that leads out of the folder."""

    source: str
    named_by: str
    folder: str
    path: str

    def text(self) -> tuple[str, str]:
        return (
            f"'{self.source}' leads out of {self.named_by}, {self.folder}, to {self.path}",
            "move the file there, or say where files come from at the top of the recipe, as in: context ..",
        )


@fields
class SourceMissing(ContextError):
    """A path that is not there."""

    source: str
    named_by: str
    folder: str
    mend: str

    def text(self) -> tuple[str, str]:
        return f"'{self.source}' is not in {self.named_by}, {self.folder}", self.mend


class Context:
    """One folder that paths in statements are relative to."""

    def __init__(
        self, folder: str, root: str, store: Store, hidden: Sequence[str] = (), *, project: str | None = None
    ) -> None:
        """`root` is the recipe's own folder: an included statement may reach its own folder and that one.
        `hidden` are real paths that are copied only if they are named (the recipe's lock, the store). `project` is the
        real folder that both have to lie in. Raises ContextError."""
        self.folder = os.path.realpath(folder)
        self.root = os.path.realpath(root)
        self.shown = os.path.normpath(folder)
        self.named_by = "the folder of the recipe" if self.folder == self.root else "the context"
        """What messages call it."""
        if project is not None and inside(self.folder, project) is None:
            # A folder may have become a link since the recipe was read.
            raise ContextOutside(self.shown, project)
        self._stats = store.stats
        self._hidden = frozenset(hidden)
        self.ignored = read_ignored(self.folder, self.root, folder)
        self.taken: dict[str, ContextItem] = {}
        """What statements took, by its path, what they called it, and what they took of it."""
        self.texts: dict[str, tuple[bytes, int]] = {}
        """What statements read, by its path, with its mode."""
        self.archives: set[str] = set()
        """The paths of archives that stages start from, which are not kept."""
        self.named: set[str] = set()
        """What statements named, also with wildcards, as absolute paths."""
        self.left_out: set[str] = set()
        """What statements would have taken, were it not left out everywhere."""

    def select(
        self, source: str, choice: Choice, epoch: int, *, keep: bool = True, whole: bool = False
    ) -> tuple[ContextItem, ...]:
        """Return what `source` means: one path, or all that its wildcards match, sorted; nothing where it means nothing
        and may.

        The time of a file follows from its content, other times are the epoch, and of modes only the right to execute
        counts, so that two clones give one digest whatever the umask. Without `keep` it is not among what is kept
        beside the image, and the folder's patterns don't count; with `whole`, all is named. Raises ContextError.
        """
        items = self._found(source, choice, epoch, self.ignored if keep else Ignored(), whole)
        self.named.add(os.path.normpath(os.path.join(self.folder, source)))
        if keep:
            self.taken |= {f"{item.path}\0{source}\0{choice.patterns}": item for item in items}
        else:
            self.archives.update(item.path for item in items)
        return items

    def shown_by(self, source: str, epoch: int) -> ContextItem:
        """Return what a mount of `source` shows, which is all that is there: a step depends on what the folder's
        patterns leave out, too. Only what they leave is kept beside the image. Raises ContextError."""
        self.select(source, Choice(optional=True), epoch, whole=True)
        (item,) = self._found(source, Choice(), epoch, Ignored(), True)
        return item

    def check(self, source: str, *, optional: bool) -> dict[str, str]:
        """Look for what `source` means, and read none of it: return its paths by what they are called. Raises
        ContextError."""
        return self._expand(source, optional)

    def _found(self, source: str, choice: Choice, epoch: int, ignored: Ignored, whole: bool) -> tuple[ContextItem, ...]:
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                return tuple(self._select(source, choice, epoch, ignored, whole))
            except ContentChanged:
                if attempt == MAX_ATTEMPTS:
                    raise
                time.sleep(WAIT * attempt)
        raise AssertionError("the last attempt raises or returns")

    def _select(self, source: str, choice: Choice, epoch: int, ignored: Ignored, whole: bool) -> Iterator[ContextItem]:
        paths = self._expand(source, choice.optional)
        matched = source not in paths
        if len(paths) > 1 or any(
            os.path.basename(path) != os.path.basename(source.rstrip("/")) for path in paths.values()
        ):
            paths = {named: path for named, path in paths.items() if not self._only_matched(path, source)} or paths
        taken = 0
        for called, path in paths.items():
            name = os.fsencode(os.path.basename(path))
            named = whole or any(map(is_left_out_everywhere, os.path.relpath(path, self.folder).split("/")))
            scan = Scan(choice, ignored, self.folder, self._hidden, self._stats, epoch * 1_000_000_000, named=named)
            item = scan.take(path, name, self._shown(path))
            self.left_out.update(scan.left_out)
            if item is not None:
                taken += 1
                yield item.replace(called=called)
            elif not matched and not choice.optional:
                raise self._nothing_left(source, choice)
        if paths and not taken and not choice.optional:
            raise self._nothing_left(source, choice)

    def _nothing_left(self, source: str, choice: Choice) -> ContextError:
        if choice.include is not None:
            return NothingIncluded(source)
        patterns = os.path.join(self.shown, os.path.basename(self.ignored.path))
        return SourceLeftOut(source, patterns)

    def _only_matched(self, path: str, source: str) -> bool:
        """Return whether wildcards match what is copied only if it is named."""
        name = os.path.basename(path)
        if not is_left_out_everywhere(name) or (name.endswith(LOCKS) and source.endswith(LOCKS)):
            return False
        self.left_out.add(self._shown(path))
        return True

    def read(
        self, source: str, what: str, clean: Callable[[bytes], bytes] = lambda content: content
    ) -> tuple[bytes, int]:
        """Return the bytes of one file and its mode: what `clean` leaves of them, which alone is kept beside the image.
        Raises ContextError."""
        path = self._inside(source)
        self.named.add(os.path.normpath(os.path.join(self.folder, source)))
        try:
            descriptor = open_real(path, os.O_RDONLY | os.O_NONBLOCK)
            with open(descriptor, "rb") as file:
                status = os.fstat(descriptor)
                if not stat.S_ISREG(status.st_mode):
                    raise SourceNotAFile(what, self._shown(path))
                content, mode = file.read(MAX_TEXT + 1), mode_of(status)
                if len(content) > MAX_TEXT:
                    raise SourceTooLarge(what, self._shown(path))
                content = clean(content)
                self.texts[path] = content, mode
                return content, mode
        except OSError as error:
            raise ContextUnreadable(
                f"{what}: {self._shown(path)}", str(error.strerror), f"paths are relative to {self.shown}"
            ) from error

    def real_path(self, source: str) -> str:
        """Return the absolute path of an existing file or folder, for a mount. Raises ContextError."""
        path = self._inside(source)
        if not os.path.exists(path):
            raise self._missing(source)
        return path

    def _inside(self, source: str) -> str:
        if os.path.isabs(source):
            raise AbsoluteSource(source, self.named_by, self.shown)
        path = os.path.realpath(os.path.join(self.folder, source))
        for allowed in (self.folder, self.root):
            if path == allowed or path.startswith(allowed.rstrip("/") + "/"):
                return path
        raise SourceOutside(source, self.named_by, self.shown, path)

    def _expand(self, source: str, optional: bool = False) -> dict[str, str]:
        """Return the paths that a source means, by what they are called in the folder, sorted by path. Empty where
        there is none and it is `optional`."""
        path = self._inside(source)
        if os.path.lexists(path):
            return {source: path}
        if not any(mark in source for mark in "*?["):
            if optional:
                return {}
            raise self._missing(source)
        import fnmatch  # only where there is a pattern

        head, _, pattern = source.rstrip("/").rpartition("/")
        parents = self._expand(head, optional) if head else {"": self.folder}
        matches = {}
        for called, parent in parents.items():
            if os.path.isdir(parent):
                for name in fnmatch.filter(os.listdir(parent), pattern):
                    if pattern[0] == "." or name[0] != ".":
                        matches[f"{called}/{name}" if called else name] = os.path.join(parent, name)
        if not matches and not optional:
            raise self._missing(source)
        return dict(sorted(matches.items(), key=lambda match: match[1]))

    def _missing(self, source: str) -> ContextError:
        from envbuild.text.suggestion import did_you_mean  # for an error alone

        folder, name = os.path.split(os.path.join(self.folder, source.rstrip("/")))
        names = os.listdir(folder) if os.path.isdir(folder) else []
        hint = did_you_mean(name, names, f"paths are relative to {self.shown}")
        return SourceMissing(source, self.named_by, self.shown, hint)

    def _shown(self, path: str) -> str:
        return os.path.normpath(os.path.join(self.shown, os.path.relpath(path, self.folder)))


def keep(
    store: Store,
    item: ContextItem,
    owner: tuple[int, int],
    mode: Mode | None,
    files: RealFiles,
    clock: Clock | None = None,
) -> Entry:
    """Put a file or folder of the context into the store with this owner and, unless None, this mode for its files and
    folders; return its entry. With a `clock` files have its times, and not those that they were found with. Raises
    ContentChanged where it is not what it was when it was found."""
    entry = item.entry._replace(uid=owner[0], gid=owner[1])
    if entry.kind == FILE:
        if clock is not None:
            entry = entry._replace(mtime=clock.copied(entry.name, entry.digest))
        entry = with_mode(entry, mode)
        return entry if store.objects.has(entry) else _read(store, entry, item.path, files)
    if entry.kind == LINK:
        return entry
    plain = mode is None and owner == (0, 0)
    if plain and not store.lost.identities():
        if clock is None and store.trees.has(entry.digest):
            return entry
        known = None if clock is None else store.clocks.retimed(clock, entry.digest)
        if known is not None:
            return entry._replace(digest=known)
    digest = store.trees.save([keep(store, child, owner, mode, files, clock) for child in item.children])
    if plain and clock is not None:
        store.clocks.remember(clock, entry.digest, digest)
    return with_mode(entry._replace(digest=digest), mode)


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
