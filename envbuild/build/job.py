"""One build: what was asked for, its graph, and the owners of all that changes while it goes on."""

from __future__ import annotations

from envbuild.build.bases import Bases
from envbuild.build.graph import Graph, Stage
from envbuild.build.lock_check import check_base, check_result
from envbuild.build.progress import BaseTree, Progress, StepResult
from envbuild.build.reporter import Reporter
from envbuild.build.request import BuildRequest
from envbuild.build.sources import Sources
from envbuild.build.store_cache import StoreCache
from envbuild.build.walk import BaseFound, Met, StepFound
from envbuild.record import Record
from envbuild.store.store import Store
from envbuild.tree.entry import Digest


class BuildJob(Record):
    """`project` is the real folder that recipes may be read from."""

    request: BuildRequest
    store: Store
    project: str
    graph: Graph
    sources: Sources
    bases: Bases
    cache: StoreCache
    progress: Progress
    reporter: Reporter

    def take(self, met: Met) -> None:
        """Tell of what a walk along the cache found, and hold it against the lock."""
        match met:
            case BaseFound(stage=stage, base=base):
                self.check_base(stage, base)
                self.reporter.base_cached(stage, base)
            case StepFound(stage=stage, result=result):
                self.take_cached(stage, result)
            case _:
                pass

    def take_cached(self, stage: Stage, result: StepResult) -> None:
        """Tell of a step whose result the store has, and hold it against the lock."""
        self.check_result(stage, result)
        self.reporter.step_cached(stage, result)

    def bring_here(self, *trees: Digest) -> bool:
        """Fetch those of the trees that are only in a shared cache yet, and return whether there were any. Raises
        SharedTreesLost."""
        shared = self.cache.shared
        if shared is None or not any(map(shared.trees.is_elsewhere, trees)):
            return False
        shared.trees.ensure(trees)
        return True

    def check_base(self, stage: Stage, base: BaseTree) -> None:
        """Hold a base against the lock. Raises LockOutOfDate."""
        check_base(stage, base, self.graph.recipe_of(stage), self.request.locked, self.reporter.emit)

    def check_result(self, stage: Stage, result: StepResult) -> None:
        """Hold a step against the lock; one that has not run yet has no tree. Raises LockOutOfDate."""
        recipe = self.graph.recipe_of(stage)
        check_result(self.store, stage, result, recipe, self.request, self.reporter.emit)
