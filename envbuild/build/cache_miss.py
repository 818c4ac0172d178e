"""The explanation of a cache miss: what of a step's key differs from that of the nearest earlier result, by file."""

from __future__ import annotations

import os
from collections.abc import Iterator

from envbuild.build.context_scan import ContextItem
from envbuild.build.fetch import content_of
from envbuild.build.inputs import Inputs
from envbuild.build.walk import PendingStep
from envbuild.language.git_address import is_git
from envbuild.packages.manager import shown_path
from envbuild.packages.registry import manager_of
from envbuild.plan.key_parts import Input, Parts, dump, own_differences, parts_of
from envbuild.plan.step import CopyIn, Execute, FetchFile, InstallPackages, Render, Step
from envbuild.store.step_cache import Source
from envbuild.store.store import Store
from envbuild.tree.diff import Change, diff
from envbuild.tree.entry import DIRECTORY, ROOT_NAME, Digest, Entry
from envbuild.tree.lookup import MemoryTrees

MAX_SHOWN = 5
"""Paths that are named for one input; more are counted."""
MAX_DIGITS = 12
"""Digits of a commit."""


def parts_and_source(pending: PendingStep, recipe_path: str, *, owners_kept: bool) -> tuple[Parts, Source]:
    """Return what the key of a step is made of, and where the step stands, for the record of its result."""
    named = named_inputs(pending.step, pending.inputs)
    parts = parts_of(pending.step, pending.parent, named, pending.epoch, owners_kept=owners_kept)
    return parts, Source(os.path.abspath(recipe_path), pending.stage.name, pending.number, dump(parts))


def named_inputs(step: Step, inputs: Inputs) -> tuple[Input, ...]:
    """Return the inputs of a step with the names that a user knows them by."""
    match step.action:
        case CopyIn(origin=None, sources=sources) as action:
            whole = len(sources) == len(inputs.files)
            names = sources if whole else [os.fsdecode(item.entry.name) for item in inputs.files]
            if action.optional or action.parents:
                names = [item.called for item in inputs.files]
            entries = [item.entry for item in inputs.files]
        case CopyIn(origin=origin):
            assert origin is not None
            names = [f"/{os.fsdecode(path)} of {origin.argument}" for path, _ in inputs.entries]
            entries = [entry for _, entry in inputs.entries]
        case Render(template=template):
            return (Input(template, "", " ".join(inputs.digests)),)
        case FetchFile(url=url):
            return (Input(url, "", inputs.digests[0]),)
        case Execute(mounts=mounts):
            names = [f"{mount.source} of {mount.origin.argument}" for mount in step.action.shown]
            names += [source for source, _ in mounts]
            return tuple(Input(name, "", digest) for name, digest in zip(names, inputs.digests, strict=True))
        case InstallPackages():
            installed = manager_of(step.action.manager).installed_files(inputs.contents)
            packages = [f"{package.name} {package.version}" for package in inputs.packages]
            named_too = [*packages, *(shown_path(path) for path, _ in installed)]
            return tuple(Input(name, "", digest) for name, digest in zip(named_too, inputs.digests, strict=False))
        case _:
            return ()
    return tuple(
        Input(name, entry.kind, entry.digest if entry.kind == DIRECTORY else digest)
        for name, entry, digest in zip(names, entries, inputs.digests, strict=True)
    )


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
