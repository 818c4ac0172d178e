"""The state of one build that its parts and threads share: recipes, stages, what is known and what is told."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

from envbuild.build.bases import Bases
from envbuild.build.context import Context
from envbuild.build.events import Emit, StepCached, StepStarted
from envbuild.build.fetch import fetch, has_content
from envbuild.build.inputs import Gatherer, Inputs
from envbuild.build.lock_check import check_base, check_step
from envbuild.build.package_lock import asks_of, locked_answer, refuse_more
from envbuild.build.project import project_of
from envbuild.build.request import BuildRequest
from envbuild.build.stage import Answer, StageRun, StepResult
from envbuild.images.find import Fits, look_up
from envbuild.images.lock_attestation import pinned_image
from envbuild.language import model
from envbuild.linux.subids import has_single_id
from envbuild.lockfile import lock as locks
from envbuild.lockfile.lock import Lock, Package
from envbuild.plan.key_parts import Parts, dump, parts_of
from envbuild.plan.step import Execute, FetchFile, InstallPackages, Origin, Step
from envbuild.store.step_cache import Source, StepRecord
from envbuild.store.store import Store
from envbuild.tree.entry import Digest


class NotYet(Exception):
    """While going along the cache: something has to be made first. Never leaves the engine."""


class RecipeRun:
    """One recipe in a build: its model, its lock as it was found, and its stages."""

    def __init__(self, recipe: model.Recipe, lock_text: str | None, lock: Lock | None) -> None:
        self.recipe = recipe
        self.lock_text = lock_text
        self.lock = lock
        self.runs: tuple[StageRun, ...] = ()
        self.fetched: dict[str, Digest] = {}
        self.images: dict[str, Digest] = {}
        self.bases: Bases
        self.gatherer: Gatherer

    @property
    def target(self) -> StageRun:
        """The stage that is the image."""
        return self.runs[-1]


TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.packages.manager import Contents

    Resolve = Callable[[RecipeRun, StageRun, Step, Contents], tuple[Package, ...]]


class Session:
    """One build, as its threads share it. `waiting` is whether a stage may wait for another, which only threads may;
    `owners_kept` is whether commands can give files to other users;
    `numbers` are the events' numbers of the stages' bases, `owners` the recipes of the stages, by id()."""

    def __init__(self, request: BuildRequest, store: Store, emit: Emit, fits: Fits) -> None:
        self.request = request
        self.fits = fits
        self.store = store
        self.emit = emit
        self.project = request.project or project_of(request.path)
        self.started = time.monotonic()
        self.recipes: list[RecipeRun] = []
        self.waiting = False
        self.resolve: Resolve | None = None
        self.owners_kept = not has_single_id(os.geteuid())
        self.rerun: frozenset[tuple[str, int]] = frozenset()
        self.counts = {"ran": 0, "cached": 0}
        self.numbers: dict[int, int] = {}
        self.owners: dict[int, RecipeRun] = {}
        self._contexts: dict[str, Context] = {}
        self.by_path: dict[str, RecipeRun] = {}
        self._begun: set[int] = set()
        self._counting = threading.Lock()

    @property
    def contexts(self) -> list[Context]:
        """The folders that statements took files from, so far."""
        return list(self._contexts.values())

    def contexts_of(self, one: RecipeRun) -> list[Context]:
        """The folders that statements of one recipe took files from, so far."""
        return [context for key, context in self._contexts.items() if key.startswith(f"{one.recipe.path}\0")]

    # What steps need from elsewhere

    def context(self, one: RecipeRun, folder: str) -> Context:
        """The folder that paths of a statement are relative to."""
        key = f"{one.recipe.path}\0{folder}"
        if key not in self._contexts:
            root = os.path.dirname(one.recipe.path) or "."
            hidden = [os.path.realpath(locks.path_of(one.recipe.path))]
            self._contexts[key] = Context(folder, root, self.store, hidden)
        return self._contexts[key]

    def tree_of(self, one: RecipeRun, origin: Origin) -> Digest:
        if origin.kind == "stage":
            return self._finished(next(run for run in one.runs if run.stage.name == origin.argument))
        if origin.kind == "recipe":
            return self._finished(self.by_path[os.path.realpath(relative(origin.folder, origin.argument))].target)
        pinned = None
        if one.lock is not None and not self.request.refresh:
            pinned = dict(one.lock.images).get(origin.argument)
        image = pinned_image(self.store, origin.argument, pinned) if pinned else None
        if image is None:
            image = look_up(self.store, origin.argument, origin.folder, self.fits)
        one.images[origin.argument] = image.digest
        return image.tree

    def packages(self, one: RecipeRun, step: Step, contents: Contents) -> tuple[Package, ...]:
        """What a statement about packages comes to: as the lock has it, else as its package manager says."""
        assert isinstance(step.action, InstallPackages)
        run, number = self._place_of(one, step)
        asks = asks_of(step.action, contents)
        answer = run.answers.get(number)
        if answer is None or answer.asks != asks:
            answer = None if self.request.renew else locked_answer(run, number, asks, contents)
            run.from_lock[id(step)] = answer is not None
            if answer is None:
                if self.request.locked:
                    raise refuse_more(run, step, locks.path_of(one.recipe.path))
                if self.resolve is None:
                    raise NotYet
                answer = Answer(asks, self.resolve(one, run, step, contents))
            run.answers[number] = answer
        return answer.packages

    def _place_of(self, one: RecipeRun, step: Step) -> tuple[StageRun, int]:
        for run in one.runs:
            if run.base is not None:
                for number, other in enumerate(run.plan.steps):
                    if other is step:
                        return run, number
        raise AssertionError("a step of no stage")

    def _finished(self, run: StageRun) -> Digest:
        if not run.done.is_set() and not self.waiting:
            raise NotYet
        run.done.wait()
        if run.error is not None:
            raise NotYet
        return run.tree

    def fetched(self, one: RecipeRun, action: FetchFile) -> Digest:
        expected, source = action.sha256, "the recipe"
        if expected is None and one.lock is not None and not self.request.refresh:
            expected, source = dict(one.lock.fetched).get(action.url), "the lock"
        if expected is None and action.url in one.fetched:
            expected = one.fetched[action.url]
        if expected is None or not has_content(self.store, expected):
            if expected is None and not self.waiting:
                raise NotYet
            if self.waiting:
                expected = fetch(
                    self.store, action.url, expected, source, lambda done, total: None, self.request.fetch_limit
                )
        assert expected is not None
        one.fetched[action.url] = expected
        return expected

    # Going along the cache

    def go_along_cache(self) -> bool:
        """Takes every stage as far as the cache reaches; True if that is to the end of all."""
        complete = True
        for one in self.recipes:
            for run in one.runs:
                if not self._along_cache(one, run):
                    complete = False
        return complete

    def _along_cache(self, one: RecipeRun, run: StageRun) -> bool:
        if run.stage.base.kind in ("stage", "recipe") and not run.needs[0].done.is_set():
            return False
        base = one.bases.find(run)
        if base is None:
            return False
        if run.stage.base.kind not in ("stage", "recipe", "image") and self.store.leads_to_lost(base.tree):
            return False  # made again
        self.use_base(one, run, base, cached=True)
        try:
            missing = run.advance(one.gatherer, self.on_cached, self.look_up, owners_kept=self.owners_kept)
        except NotYet:
            return False
        if missing is not None:
            return False
        run.done.set()
        return True

    def use_base(self, one: RecipeRun, run: StageRun, base: object, *, cached: bool, seconds: float = 0.0) -> None:
        """Starts a stage from a base that is in the store, and tells so."""
        from envbuild.build.stage import BaseTree

        assert isinstance(base, BaseTree)
        run.start_from(base, cached=cached, seconds=seconds)
        if run.stage.base.kind == "image":
            one.images[run.stage.base.argument] = base.origin.rpartition(":")[2]
        check_base(run, locks.path_of(one.recipe.path), self.request.locked, self.emit)
        if cached:
            self.count("cached")
            place = run.stage.base.place
            text = self.base_statement(run)
            self.emit(StepCached(self.numbers[id(run)], run.recipe, run.name, text, place.file, place.line, base.tree))

    def base_statement(self, run: StageRun) -> str:
        """The `from` statement of a stage."""
        return f"from {run.base_text}" + (f" as {run.stage.name}" if run.stage.name else "")

    def look_up(self, step: Step, key: str) -> StepRecord | None:
        """What the cache has for a step, if the step may come from it in this build."""
        if self._asked_to_run(step):
            return None
        record = self.store.steps.get(key)
        if record is None or self.store.leads_to_lost(record.tree):
            return None
        return record

    def why_not_cached(self, step: Step, key: str) -> str:
        """Why a step runs though the cache has its result, "" if the cache has none."""
        record = self.store.steps.get(key)
        if record is None:
            return ""
        if self.store.leads_to_lost(record.tree):
            return "what it made was found damaged, and put aside"
        return self._asked_to_run(step)

    def _asked_to_run(self, step: Step) -> str:
        """Why this build runs a step even if the cache has its result, "" if it does not."""
        if not self.request.use_cache:
            return "the cache is not used (--no-cache)"
        if self.request.check and isinstance(step.action, (Execute, InstallPackages)) and not step.test:
            return "it is run twice and compared (--check)"
        if (step.place.file, step.place.line) in self.rerun:
            return "it was asked for (--rerun)"
        return ""

    def parts(self, run: StageRun, step: Step, inputs: Inputs) -> Parts:
        """What the key of a step that is about to run is made of."""
        from envbuild.build.cache_miss import named_inputs  # only where something runs

        named = named_inputs(step, inputs)
        return parts_of(step, run.tree, named, run.facts.epoch, owners_kept=self.owners_kept)

    def source(self, run: StageRun, step: Step, made_of: Parts) -> Source:
        """Where a step that is about to run stands, and what its key is made of."""
        number = next(i for i, one in enumerate((*run.plan.steps, *run.plan.tests)) if one is step)
        path = os.path.abspath(self.owners[id(run)].recipe.path)
        return Source(path, run.name, number, dump(made_of))

    def on_cached(self, run: StageRun, result: StepResult) -> None:
        """A step came from the cache."""
        self.count("cached")
        self.check_step(run, result)
        place = result.step.place
        number = self.step_number(run, result.step)
        self.emit(StepCached(number, run.recipe, run.name, result.step.text, place.file, place.line, result.tree))

    def check_step(self, run: StageRun, result: StepResult) -> None:
        """Holds a step against the lock (see locked.py); one that has not run yet has no tree."""
        path = locks.path_of(self.owners[id(run)].recipe.path)
        check_step(run, result, path, self.request.locked, self.emit)

    def begin(self, run: StageRun, step: Step) -> None:
        """Tells that a step begins, once: resolving what it installs is a part of it."""
        number = self.step_number(run, step)
        with self._counting:
            if number in self._begun:
                return
            self._begun.add(number)
        place = step.place
        self.emit(StepStarted(number, run.recipe, run.name, step.text, place.file, place.line))

    def step_number(self, run: StageRun, step: Step) -> int:
        """The number of a step in the events of this build."""
        ordered = (*run.plan.steps, *run.plan.tests)
        return self.numbers[id(run)] + 1 + next(i for i, one in enumerate(ordered) if one is step)

    def count(self, what: str) -> None:
        """Counts a step or base that ran or was cached."""
        with self._counting:
            self.counts[what] += 1


def relative(folder: str, path: str) -> str:
    return os.path.normpath(os.path.join(folder, path))
