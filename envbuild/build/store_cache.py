"""The store as the cache of a build: its bases, and the results of steps that this build may take from it."""

from __future__ import annotations

from envbuild.build.bases import Bases, is_made
from envbuild.build.graph import Stage
from envbuild.build.progress import BaseTree, StepResult
from envbuild.build.request import BuildRequest
from envbuild.build.walk import PendingStep
from envbuild.plan.step import Execute, InstallPackages, Step
from envbuild.store.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.build.rerun_lines import Spot
    from envbuild.build.reuse import Reuse
    from envbuild.build.shared_cache import SharedCache
    from envbuild.build.shared_mounts import SharedMounts


class StoreCache:
    """What the store has, as one request may use it."""

    def __init__(
        self, store: Store, bases: Bases, request: BuildRequest, rerun: frozenset[Spot], *, owners_kept: bool
    ) -> None:
        """`rerun` are the statements that run again whatever the store has; `owners_kept` is whether commands can give
        files to other users."""
        self._store = store
        self._bases = bases
        self._request = request
        self._rerun = rerun
        self.owners_kept = owners_kept
        self.shared: SharedCache | None = None
        """What is asked for results that the store lacks."""
        self.mounts: SharedMounts | None = None
        """Where the directories of `cache=` travel."""
        self.reuse: Reuse | None = None
        """What gives results of runs on other trees."""

    def without_owners(self) -> StoreCache:
        """Return the same cache for a machine where commands can't give files to other users."""
        cache = StoreCache(self._store, self._bases, self._request, self._rerun, owners_kept=False)
        cache.shared, cache.mounts, cache.reuse = self.shared, self.mounts, self.reuse
        if cache.reuse is not None:
            cache.reuse.owners_kept = False
        return cache

    def base(self, stage: Stage) -> BaseTree | None:
        """Return the base of a stage; None for one that has to be made, also since a part of it was lost."""
        base = self._bases.find(stage)
        if base is not None and is_made(stage.base) and self._store.leads_to_lost(base.tree):
            return None
        if base is None and self.shared is not None:
            return self.shared.base(stage)
        return base

    def result(self, pending: PendingStep) -> StepResult | None:
        """Return the result of a step if the store has it and the step need not run in this build."""
        if self._reason_to_run(pending.step):
            return None
        key = pending.key(owners_kept=self.owners_kept)
        record = self._store.steps.get(key)
        if record is None and self.shared is not None:
            result = self.shared.result(pending, key, owners_kept=self.owners_kept)
            if result is not None:
                return result
        if record is None and self.reuse is not None:
            return self.reuse.result(pending)
        if record is None or self._store.leads_to_lost(record.tree):
            return None
        return StepResult(
            pending.number, pending.step, key, record.tree, record.output, record.seconds, True, record.owners_kept
        )

    def may_use_parts(self, step: Step) -> bool:
        """Return whether a step that runs may take from the store what it is put together from."""
        return self._request.use_cache and (step.place.file, step.place.line) not in self._rerun

    def why_not_used(self, step: Step, key: str) -> str:
        """Return why a step runs though the store has its result; "" if it has none."""
        record = self._store.steps.get(key)
        if record is None:
            return ""
        if self._store.leads_to_lost(record.tree):
            return "its result was damaged and has been put aside"
        return self._reason_to_run(step)

    def _reason_to_run(self, step: Step) -> str:
        if not self._request.use_cache:
            return "the cache is not used (--no-cache)"
        if self._request.check and isinstance(step.action, (Execute, InstallPackages)) and not step.test:
            return "it runs twice to compare the results (--check)"
        if (step.place.file, step.place.line) in self._rerun:
            return "it was asked for (--rerun)"
        return ""
