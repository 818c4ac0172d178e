"""Installs the packages of a statement in parts: those that were installed there before come from the store.

The result is the same tree as from nothing, and is made so only where that is certain: a part is kept if the tree into
which it was unpacked is exactly what was there before and the parts, and parts are joined only if no two of them have
anything at one path. In all other cases everything is installed at once. `--no-cache`, the second run of `--check`
and `verify` use no parts, and so hold one way against the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from envbuild.build.execution import Execution
from envbuild.build.installation_site import InstallationSite
from envbuild.digest import sha256_of
from envbuild.lockfile.lock import Package
from envbuild.packages.manager import InParts, Joined, Task
from envbuild.record import Pairs, values
from envbuild.sandbox.spec import Outcome
from envbuild.store.step_cache import StepRecord
from envbuild.text import json
from envbuild.tree.diff import amount
from envbuild.tree.entry import EMPTY_CONTENT, Digest
from envbuild.tree.union import Overlap, excerpt, union

FORMAT = "envbuild parts 1"

Sink = Callable[[bytes], None]


class PartInstaller:
    """Installs one statement on the tree of its stage."""

    def __init__(self, site: InstallationSite) -> None:
        self._site = site
        self._store = site.store
        self._used: list[str] = []

    def install(self, parts: InParts, variables: Pairs, sink: Sink) -> Execution | None:
        """Return what the installation came to; None if it can't be done in parts, and nothing counts. `variables` are
        for the end of it, which sees all parts."""
        base = self._base_key(parts.prepare())
        keys = {package: _key(base, *values(package), *parts.mark(package)) for package in parts.packages}
        prepared = self._kept(key := _key(base, "prepared"))
        if prepared is None:
            done = self._run(parts.prepare(), self._site.tree, self._site.near, _say_nothing)
            if done.outcome.status:
                return None
            prepared = done.tree
            self._keep({key: prepared})
        if not parts.is_apart(self._store, prepared):
            return None
        known = {package: tree for package, key in keys.items() if (tree := self._kept(key)) is not None}
        missing = [package for package in parts.packages if package not in known]
        if known:
            number = len(parts.packages)
            sink(f"{len(known)} of {number} package{'s' * (number != 1)} as installed here before\n".encode())
        last: Execution | None = None
        if missing:
            last = self._run(parts.unpack(missing), prepared, (prepared, *self._site.near), _say_nothing)
            if last.outcome.status:
                return None  # what is wrong is for the installation of all to say
            fresh = self._split(parts, prepared, last.tree, missing)
            self._keep({keys[package]: tree for package, tree in fresh.items()})
            known |= fresh
        if len(known) < len(parts.packages):
            # Some have no part of their own: what they came to is the result if they are all that there is.
            tree = last.tree if last is not None and len(missing) == len(parts.packages) else None
        else:
            tree = self._join([prepared, *known.values()])
        if tree is None:
            return None
        return self._finish(parts, tree, _key(base, "whole"), last, variables, sink)

    def join(self, joined: Joined, sink: Sink) -> Execution | None:
        """Return what an installation without a sandbox came to; None if it needs one, and nothing counts."""
        if self._site.step.discard:
            return None  # what of it is left out, the sandbox's snapshot says
        result = joined.join(self._store, self._site.tree, self._site.epoch)
        if result is None:
            return None
        tree, known, number = result
        if known:
            sink(f"{known} of {number} package{'s' * (number != 1)} as unpacked before\n".encode())
        key = _key(self._site.tree, "joined")
        return self._finish(joined, tree, key, None, (), sink)

    def _finish(
        self, parts: InParts | Joined, tree: Digest, key: str, last: Execution | None, variables: Pairs, sink: Sink
    ) -> Execution:
        """Do what is left to do on the joined tree, and make layers of it that are built on those of the last time."""
        before = self._store.steps.get(key)
        near = ((before.tree,) if before is not None else ()) + (self._site.tree, *self._site.near)
        task = parts.finish()
        if task is not None:
            last = self._run(task.replace(environment=(*task.environment, *variables)), tree, near, sink)
            tree = last.tree
        else:
            self._store.layers(tree, near)
        self._keep({key: tree})
        self._store.steps.touch(self._used)
        files, size = amount(self._store.trees, self._site.tree, tree)
        outcome, output, tail = (Outcome(0), EMPTY_CONTENT, b"") if last is None else _ended(last)
        return Execution(outcome, tree, output, tail, files, size, 0.0)

    def _run(self, task: Task, tree: Digest, near: tuple[Digest, ...], sink: Sink) -> Execution:
        return self._site.install(task, tree, near, sink)

    def _split(
        self, parts: InParts, prepared: Digest, tree: Digest, packages: Sequence[Package]
    ) -> dict[Package, Digest]:
        """Return the parts of packages that were unpacked together; nothing if they are not all that came."""
        paths = parts.paths(self._store, prepared, tree, packages)
        if not all(paths):
            return {}
        with self._store.database.transaction():
            split = {
                package: excerpt(self._store.trees, tree, own) for package, own in zip(packages, paths, strict=True)
            }
            return split if self._join([prepared, *split.values()]) == tree else {}

    def _join(self, trees: Sequence[Digest]) -> Digest | None:
        try:
            with self._store.database.transaction():
                return union(self._store.trees, trees)
        except Overlap:
            return None

    def _base_key(self, prepare: Task) -> str:
        """Return the digest of all that the parts of a statement have in common: the tree that it stands on, and the
        program that installs, with its environment."""
        files = [[name, sha256_of(content)] for name, content in prepare.files]
        environment = [list(pair) for pair in prepare.environment]
        what = [list(prepare.argv), environment, files, list(self._site.step.discard)]
        return _key(self._site.tree, str(self._site.epoch), str(self._site.owners_kept), json.dumps(what))

    def _kept(self, key: str) -> Digest | None:
        record = self._store.steps.get(key)
        if record is None or self._store.leads_to_lost(record.tree):
            return None
        self._used.append(key)
        self._site.goes_on_from_kept()
        return record.tree

    def _keep(self, trees: dict[str, Digest]) -> None:
        self._store.steps.put_parts(
            {key: StepRecord(tree, EMPTY_CONTENT, 0.0, self._site.owners_kept) for key, tree in trees.items()}
        )


def _say_nothing(data: bytes) -> None:
    pass


def _ended(done: Execution) -> tuple[Outcome, Digest, bytes]:
    return done.outcome, done.output, done.tail


def _key(*words: str) -> str:
    return sha256_of(json.dumps([FORMAT, *words]).encode("utf-8", "surrogateescape"))
