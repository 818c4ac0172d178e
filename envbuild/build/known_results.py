"""What is known of results without a build: what this store has, and what locks say."""

from __future__ import annotations

from envbuild.build.bases import Bases
from envbuild.build.context_ignore import ContextError
from envbuild.build.graph import Graph, Stage
from envbuild.build.progress import BaseTree, StepResult
from envbuild.build.walk import PendingStep
from envbuild.images.lock_attestation import result_of, results_of_images
from envbuild.store.store import Store
from envbuild.tree.entry import EMPTY_CONTENT, Digest


class KnownResults:
    """What is known of results without a build, as a cache: a step has the tree that it gave in this store, or else the
    one that its recipe's lock says."""

    def __init__(self, store: Store, graph: Graph, bases: Bases) -> None:
        self._store = store
        self._graph = graph
        self._bases = bases
        self._recorded: dict[int, dict[str, Digest]] = {}

    def base(self, stage: Stage) -> BaseTree:
        """Return the base of a stage: as it is now, if the store has it, else as the lock has it."""
        return self._found(stage) or self._bases.as_locked(stage)

    def has_base(self, stage: Stage) -> bool:
        """Return whether the store has a base, with the facts that it brings."""
        return self._found(stage) is not None

    def _found(self, stage: Stage) -> BaseTree | None:
        try:
            return self._bases.find(stage)
        except ContextError:
            return None  # an archive that is not kept with the recipe

    def result(self, pending: PendingStep) -> StepResult | None:
        """Return the result of a step, whether it was made where owners are kept or not."""
        keys = [pending.key(owners_kept=kept) for kept in (True, False)]
        for key in sorted(keys, key=lambda key: not self.locked(pending.stage, key)):
            trees = self.locked(pending.stage, key)
            tree = self.own(pending.stage, key) or (trees[0] if trees else None)
            if tree is not None:
                return StepResult(pending.number, pending.step, key, tree, EMPTY_CONTENT, 0.0, True)
        return None

    def locked(self, stage: Stage, key: str) -> tuple[Digest, ...]:
        """Return the trees that the lock has for a key: one, unless a merge left several."""
        lock = self._graph.recipe_of(stage).lock
        return lock.results.steps.get(key, ()) if lock is not None else ()

    def own(self, stage: Stage, key: str) -> Digest | None:
        """Return the tree that the step of this key gave in this store, also if only the record of an image has it."""
        made = result_of(self._store, key)
        if made is None and stage.recipe not in self._recorded:
            lock = self._graph.recipe_of(stage).lock
            images = lock.results.images if lock is not None else ()
            self._recorded[stage.recipe] = results_of_images(self._store, [image.digest for image in images])
        return made or self._recorded[stage.recipe].get(key)
