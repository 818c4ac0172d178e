"""The explanation of a cache miss: what of a step's key differs from that of the nearest earlier result, by file."""

from __future__ import annotations

from envbuild.build.context_scan import ContextItem
from envbuild.build.fetch import content_of
from envbuild.build.inputs import Inputs
from envbuild.language.git_address import is_git
from envbuild.plan.key_parts import Input, Parts, own_differences
from envbuild.store.store import Store
from envbuild.tree.diff import Change, diff
from envbuild.tree.entry import DIRECTORY, ROOT_NAME, Digest, Entry
from envbuild.tree.lookup import MemoryTrees

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_SHOWN = 5
"""Paths that are named for one input; more are counted."""
MAX_DIGITS = 12
"""Digits of a commit."""


class _AllTrees:
    """The store's trees and, in memory, those of a context that nothing has stored yet."""

    def __init__(self, store: Store) -> None:
        self.memory = MemoryTrees()
        self._stored = store.trees

    def load(self, digest: Digest) -> tuple[Entry, ...]:
        return self.memory.load(digest) if digest in self.memory.bodies else self._stored.load(digest)

    def save(self, entries: object) -> Digest:
        raise AssertionError("nothing is kept while a build is explained")

    def has(self, digest: Digest) -> bool:
        return digest in self.memory.bodies or self._stored.has(digest)


class Explainer:
    """Explains cache misses of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def reasons(self, before: Parts | None, after: Parts, inputs: Inputs) -> tuple[str, ...]:
        """Return a text for each part that differs. `before` is what the nearest earlier result was made from."""
        if before is None:
            return ("it has not run before",)
        reasons = [*own_differences(before, after), *self._parent(before, after), *self._inputs(before, after, inputs)]
        return tuple(reasons) or ("the attributes of a folder that it copies changed",)

    def _parent(self, before: Parts, after: Parts) -> Iterator[str]:
        if before.parent != after.parent:
            yield from self._trees(_AllTrees(self._store), "parent tree", before.parent, after.parent, "/")

    def _inputs(self, before: Parts, after: Parts, inputs: Inputs) -> Iterator[str]:
        trees = _AllTrees(self._store)
        for item in inputs.files:
            _remember(trees.memory, item)
        what = {"Render": "template", "Execute": "mounted", "FetchFile": "fetched"}.get(after.action, "copied")
        old = {taken.name: taken for taken in before.inputs}
        for new in after.inputs:
            if after.action == "InstallPackages":
                what = "package" if " " in new.name else "file"
            was = old.pop(new.name, None)
            if was is None:
                if before.inputs or after.action != "CopyIn":
                    yield f"{what} {new.name} is new"
            elif was != new:
                yield from self._input(trees, what, was, new)
        for name in old:
            yield f"{what} {name} is gone"

    def _input(self, trees: _AllTrees, what: str, was: Input, new: Input) -> Iterator[str]:
        if was.kind == new.kind == DIRECTORY and was.digest != new.digest:
            prefix = new.name.rstrip("/") + "/"
            yield from self._trees(trees, f"{what} folder {new.name}", was.digest, new.digest, prefix, f"{what} file")
        elif is_git(new.name) and (old := self._commit(was)) != (now := self._commit(new)) and old and now:
            yield f"{what} {new.name}: {old[:MAX_DIGITS]} -> {now[:MAX_DIGITS]}"
        else:
            yield f"{what} {'file ' if new.kind == 'f' else ''}{new.name} changed"

    def _commit(self, taken: Input) -> str:
        """Return the commit that an archive of a git repository is of, "" where the store no longer has it."""
        from envbuild.archive.tar_writer import comment_of  # reading tar takes 10 ms: only where a commit is shown

        try:
            from envbuild.archive.tar_writer import comment_of  # few recipes fetch any

            return comment_of(content_of(self._store, taken.digest))
        except FileNotFoundError:
            return ""

    def _trees(
        self, trees: _AllTrees, what: str, old: Digest, new: Digest, prefix: str, each: str | None = None
    ) -> Iterator[str]:
        if not trees.has(old):
            yield f"{what} changed (what it was is no longer in the store)"
            return
        count = 0
        for change in diff(trees, old, new):
            count += 1
            if count <= MAX_SHOWN:
                named = f"{prefix}{_path(change)} {_verb(change)}"
                yield f"{each} {named}" if each else f"{what}: {named}"
        if count > MAX_SHOWN:
            yield f"{what}: and {count - MAX_SHOWN} more"


def _path(change: Change) -> str:
    return "" if change.path == ROOT_NAME else change.path.decode(errors="backslashreplace")


def _verb(change: Change) -> str:
    if change.before is None:
        return "is new"
    return "is gone" if change.after is None else "changed"


def _remember(memory: MemoryTrees, root: ContextItem) -> None:
    pending = [root]
    while pending:
        item = pending.pop()
        if item.entry.kind == DIRECTORY:
            memory.save([child.entry for child in item.children])
            pending += item.children
