"""What was resolved by builds that came to no end: a lock in the store, as far as they got.

A build that fails writes no lock beside its recipe. What its package managers answered is kept here as soon as they
did, and answers the same question of the same recipe again: the next try takes the same versions, and asks nobody. It
is gone when a build of the recipe succeeds, which has the lock. `envbuild update` takes no notice of it.
"""

from __future__ import annotations

import os

from envbuild.build.graph import Graph
from envbuild.build.package_lock import package_steps
from envbuild.build.package_question import Question
from envbuild.build.progress import Answer, StageProgress
from envbuild.digest import sha256_of
from envbuild.lockfile.lock import Package
from envbuild.lockfile.results import Sight
from envbuild.packages.registry import manager_of
from envbuild.plan.step import InstallPackages
from envbuild.record import values
from envbuild.store.store import Store
from envbuild.text import json

_KIND = "resolved"
"""The kind of these records in the store's memo."""
MAX_STATEMENTS = 200
"""Statements of one recipe whose answers are kept, the latest."""


class PartialLock:
    """The answers of builds that failed, by recipe. With `reads` False they answer nothing, with `writes` False none
    is added."""

    def __init__(self, store: Store, graph: Graph, *, reads: bool, writes: bool) -> None:
        self._store = store
        self._graph = graph
        self._reads = reads
        self._writes = writes

    def find(
        self, at: StageProgress, number: int, question: Question, sight: Sight, pinned: tuple[Package, ...]
    ) -> Answer | None:
        """Return the answer to the same question, None if there is none. Raises BadName."""
        if not self._reads:
            return None
        plain = self._load(at).get(self._key(at, number, question, sight, pinned))
        if not isinstance(plain, list):
            return None
        action = at.plan.steps[number].action
        assert isinstance(action, InstallPackages)
        manager = manager_of(action.manager)
        try:
            packages = tuple(manager.check(Package(*map(str, fields))) for fields in plain)
        except (TypeError, ValueError):
            return None  # another version wrote it
        return Answer(question, packages, False, sight)

    def add(self, at: StageProgress, number: int, pinned: tuple[Package, ...], answer: Answer) -> None:
        """Keep an answer, at once: also a build that is killed later has it."""
        if not self._writes:
            return
        assert answer.sight is not None
        key = self._key(at, number, answer.question, answer.sight, pinned)
        with self._store.database.transaction():
            known = self._load(at)
            known.pop(key, None)
            kept = dict(list(known.items())[-MAX_STATEMENTS + 1 :])
            kept[key] = [list(values(package)) for package in answer.packages]
            self._store.memo.put(_KIND, self._recipe(at), json.dumps(kept).encode())

    def _load(self, at: StageProgress) -> dict[str, object]:
        text = self._store.memo.get(_KIND, self._recipe(at))
        try:
            plain = json.loads(text) if text is not None else {}
        except ValueError:
            plain = {}
        return plain if isinstance(plain, dict) else {}

    def _recipe(self, at: StageProgress) -> str:
        return os.path.realpath(self._graph.recipe_of(at.stage).path)

    def _key(
        self, at: StageProgress, number: int, question: Question, sight: Sight, pinned: tuple[Package, ...]
    ) -> str:
        """Return the name of a question: all that an answer depends on, with the answers before it and the versions
        that were to be kept."""
        before = package_steps(at, number)
        earlier = [[list(values(package)) for package in at.answers[n].packages] for n in before if n in at.answers]
        held = [list(values(package)) for package in pinned]
        seen = [sight.settings, sight.installed]
        form = [at.stage.name, len(before), at.base.tree, earlier, question.whole, seen, held]
        return sha256_of(json.dumps(form, separators=(",", ":")).encode("utf-8", "surrogateescape"))


def forget(store: Store, path: str) -> None:
    """Forget what failed builds of a recipe resolved: the lock has it."""
    key = os.path.realpath(path)
    if store.memo.get(_KIND, key) is not None:
        store.memo.remove(_KIND, key)
