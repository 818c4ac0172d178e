"""Takes entries of one tree over into another: with what a copy names of them, and with owners and modes of its own."""

from __future__ import annotations

from envbuild.errors import WorkFailed, fields
from envbuild.record import Record
from envbuild.store.store import Store
from envbuild.tree.entry import DIRECTORY, FILE, Digest, Entry
from envbuild.tree.file_mode import Mode, with_mode
from envbuild.tree.patterns import Matcher

MAX_COPIED = 2_000_000
"""As many as an archive may have members."""


@fields
class TooMuchCopied(WorkFailed):
    """A folder of another stage or image has more in it than any environment."""

    source: str

    def text(self) -> tuple[str, str]:
        return (
            f"{self.source} has more than {MAX_COPIED:,} files and folders",
            "copy a part of it, or fewer copies of copies",
        )


class Taken(Record):
    """What a copy from another tree takes of directories and leaves out, and the owner and the mode that it gives."""

    include: Matcher | None = None
    exclude: Matcher | None = None
    owner: tuple[int, int] | None = None
    mode: Mode | None = None


_WHOLE = Taken()


def adopt(store: Store, entry: Entry, taken: Taken, source: str) -> Entry:
    """Return an entry of another tree as it will be in this one, with its times: their order says what was made of
    what. Raises TooMuchCopied."""
    return _Adoption(store, taken).of(entry, source)


class _Adoption:
    def __init__(self, store: Store, taken: Taken) -> None:
        self._trees = store.trees
        self._objects = store.objects
        self._taken = taken

    def of(self, entry: Entry, source: str) -> Entry:
        if entry.kind != DIRECTORY:
            return self._leaf(entry)
        self._check_amount(entry, source)
        if self._taken == _WHOLE and self._is_whole(entry):
            return entry
        adopted = self._directory(entry, b"", self._taken.include is None)
        return adopted if adopted is not None else entry._replace(digest=self._trees.save(()))

    def _check_amount(self, entry: Entry, source: str) -> None:
        """Raise TooMuchCopied. A folder that is in a tree twice is counted twice and looked at once: copies of copies
        take no room in the store, until somebody walks over them or mounts them."""
        amounts: dict[Digest, int] = {}
        pending = [entry.digest]
        while pending:
            digest = pending[-1]
            inner = [child.digest for child in self._trees.load(digest) if child.kind == DIRECTORY and child.digest]
            missing = [folder for folder in inner if folder not in amounts]
            if missing:
                pending += missing
                continue
            pending.pop()
            amounts[digest] = len(self._trees.load(digest)) + sum(amounts[folder] for folder in inner)
            if amounts[digest] > MAX_COPIED:
                raise TooMuchCopied(source)

    def _directory(self, entry: Entry, inside: bytes, included: bool) -> Entry | None:
        """Return a directory with what is taken of it, None if that is nothing. `included`: it is taken itself."""
        kept = []
        include, exclude = self._taken.include, self._taken.exclude
        for child in self._trees.load(entry.digest):
            path, is_directory = inside + child.name, child.kind == DIRECTORY
            if child.name == b"." or (exclude is not None and exclude.matches(path, is_directory)):
                continue
            whole = included or (include is not None and include.matches(path, is_directory))
            if is_directory:
                inner = self._directory(child, path + b"/", whole)
                if inner is not None:
                    kept.append(inner)
            elif whole:
                kept.append(self._leaf(child))
        if not kept and not included:
            return None
        digest = self._trees.save(kept)
        return with_mode(self._owned(entry)._replace(digest=digest), self._taken.mode)

    def _leaf(self, entry: Entry) -> Entry:
        new = self._owned(entry)
        if entry.kind != FILE:
            return new
        new = with_mode(new, self._taken.mode)
        return new if new == entry else self._objects.alter(entry, new)

    def _owned(self, entry: Entry) -> Entry:
        uid, gid = self._taken.owner or (entry.uid, entry.gid)
        return entry._replace(uid=uid, gid=gid)

    def _is_whole(self, entry: Entry) -> bool:
        """Return whether a directory is one of a tree, and not the root with its own entry in it."""
        return entry.name not in (b"", b".") and all(child.name != b"." for child in self._trees.load(entry.digest))
