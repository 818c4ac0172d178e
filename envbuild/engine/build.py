"""One build, whole: loads the recipes, goes along what is cached, runs what is missing, publishes what came out.

First all stages go as far as the cache reaches, in one thread and without the machine: a build with nothing to do
ends there. Only then is the namespace entered and a thread started for each stage that is left.
"""

from __future__ import annotations

import os
import threading
import time

from envbuild import lock as locks
from envbuild.engine.base import Bases
from envbuild.engine.context import Context
from envbuild.engine.events import BuildFinished, BuildStarted, Emit, Notice, StepCached
from envbuild.engine.fetch import fetch, has_content
from envbuild.engine.inputs import Gatherer
from envbuild.engine.publish import image_of, lock_of
from envbuild.engine.recipes import load
from envbuild.engine.request import BuildRequest, BuildResult
from envbuild.engine.stage_run import StageRun, StepResult
from envbuild.errors import UsageError
from envbuild.language import model
from envbuild.lock import Lock, LockOutOfDate
from envbuild.plan.facts import image_digest
from envbuild.plan.graph import stage_named, stages_needed
from envbuild.plan.step import Execute, FetchFile, Origin, Step
from envbuild.store import publish
from envbuild.store.fetched import FETCHED
from envbuild.store.images import LATEST, split_name
from envbuild.store.store import Store
from envbuild.tree.entry import Digest

STEP_STATEMENTS = (
    model.Apt,
    model.Pip,
    model.Npm,
    model.Copy,
    model.Render,
    model.File,
    model.Fetch,
    model.AddUser,
    model.Run,
    model.Test,
    model.Discard,
    model.WorkDir,
)
PACKAGE_STATEMENTS = (model.Apt, model.Pip, model.Npm)


class RecipeCircle(UsageError):
    """Recipes that are each other's bases."""

    def __init__(self, paths: list[str]) -> None:
        super().__init__(f"recipes that need each other: {' -> '.join(paths)}", "one of them has to start elsewhere")


class PackagesNotYet(UsageError):
    """A package statement, which this version parses and plans but can't run."""

    def __init__(self, statement: model.Statement) -> None:
        word = type(statement).__name__.lower()
        place = statement.place
        super().__init__(
            f"{place.file}:{place.line}: '{word}' can't be run yet in this version",
            f"until it can, use a networked step: {_INSTEAD[word]}",
        )


_INSTEAD = {
    "apt": "run(network) apt-get update && apt-get install -y --no-install-recommends PKG",
    "pip": "run(network, cache=/root/.cache/pip) python3 -m venv DIR && DIR/bin/pip install REQ",
    "npm": "run(network, cache=/root/.npm) npm install PKG",
}


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


class Build:
    """The state of one build that its threads share."""

    def __init__(self, request: BuildRequest, store: Store, emit: Emit) -> None:
        self.request = request
        self.store = store
        self.emit = emit
        self.started = time.monotonic()
        self.recipes: list[RecipeRun] = []
        self.waiting = False
        self.counts = {"ran": 0, "cached": 0}
        self.numbers: dict[int, int] = {}
        self.owners: dict[int, RecipeRun] = {}
        self.reported = False
        self._contexts: dict[str, Context] = {}
        self._by_path: dict[str, RecipeRun] = {}
        self._counting = threading.Lock()

    # Planning

    def load_all(self) -> RecipeRun:
        """Loads the recipe that was asked for, and those that it needs, these first."""
        top = self._load(self.request.path, [])
        number = 1
        for recipe in self.recipes:
            for run in recipe.runs:
                self.numbers[id(run)] = number
                number += 1 + sum(isinstance(item, STEP_STATEMENTS) for item in run.stage.statements)
        self.emit(BuildStarted(top.recipe.name, top.recipe.path, number - 1))
        return top

    def _load(self, path: str, above: list[str]) -> RecipeRun:
        real = os.path.realpath(path)
        if real in above:
            raise RecipeCircle([os.path.relpath(one) for one in [*above[above.index(real) :], real]])
        if real in self._by_path:
            return self._by_path[real]
        top = not above
        recipe = load(path, self.request.settings if top else (), self.store)
        lock_path = locks.path_of(recipe.path)
        lock_text, lock = self._read_lock(lock_path)
        if self.request.locked and lock is None:
            raise LockOutOfDate(lock_path, "there is no lock yet")
        one = RecipeRun(recipe, lock_text, lock)
        one.bases = Bases(
            self.store,
            self.request.epoch,
            refresh=self.request.refresh,
            context=lambda folder: self.context(one, folder),
            pinned_image=lambda reference: dict(lock.images).get(reference) if lock is not None else None,
        )
        one.gatherer = Gatherer(
            self.store,
            lambda folder: self.context(one, folder),
            lambda origin: self._tree_of(one, origin),
            lambda action: self._fetched(one, action),
        )
        target = stage_named(recipe, self.request.stage if top else None)
        names = frozenset(stage.name for stage in recipe.stages if stage.name)
        made: dict[int, StageRun] = {}
        for number, stage in enumerate(recipe.stages, 1):
            if stage not in stages_needed(recipe, target):
                continue
            _refuse_packages(stage)
            needs = self._needs(stage, made, recipe, [*above, real])
            name = stage.name or str(number)
            run = StageRun(recipe.name, number, stage, None, needs, names)
            run.locked = lock.stage(name, run.base_text) if lock is not None and not self.request.refresh else None
            made[id(stage)] = run
            self.owners[id(run)] = one
        one.runs = tuple(made.values())
        self._by_path[real] = one
        self.recipes.append(one)
        return one

    def _needs(
        self, stage: model.Stage, made: dict[int, StageRun], recipe: model.Recipe, above: list[str]
    ) -> tuple[StageRun, ...]:
        """The runs of what a stage starts from and copies from; the base first, if it is one of them."""
        by_name = {one.name: made[id(one)] for one in recipe.stages if one.name and id(one) in made}
        needs = []
        if stage.base.kind == "stage":
            needs.append(by_name[stage.base.argument])
        elif stage.base.kind == "recipe":
            needs.append(self._load(_join(stage.base.folder, stage.base.argument), above).target)
        for statement in stage.statements:
            if isinstance(statement, model.Copy) and statement.origin is not None:
                if statement.origin in by_name:
                    needs.append(by_name[statement.origin])
                elif statement.origin.startswith("recipe:"):
                    path = _join(statement.folder, statement.origin.removeprefix("recipe:"))
                    needs.append(self._load(path, above).target)
        return tuple(needs)

    def _read_lock(self, path: str) -> tuple[str | None, Lock | None]:
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read()
        except FileNotFoundError:
            return None, None
        except (OSError, UnicodeDecodeError) as error:
            raise locks.BadLock(path, str(error)) from error
        from envbuild.engine.lock_memo import read_lock

        return text, read_lock(text, path, self.store)

    # What steps need from elsewhere

    def context(self, one: RecipeRun, folder: str) -> Context:
        """The folder that paths of a statement are relative to."""
        key = f"{one.recipe.path}\0{folder}"
        if key not in self._contexts:
            root = os.path.dirname(one.recipe.path) or "."
            hidden = [os.path.realpath(locks.path_of(one.recipe.path))]
            self._contexts[key] = Context(folder, root, self.store, hidden)
        return self._contexts[key]

    def _tree_of(self, one: RecipeRun, origin: Origin) -> Digest:
        if origin.kind == "stage":
            return self._finished(next(run for run in one.runs if run.stage.name == origin.argument))
        if origin.kind == "recipe":
            return self._finished(self._by_path[os.path.realpath(_join(origin.folder, origin.argument))].target)
        pinned = None
        if one.lock is not None and not self.request.refresh:
            pinned = dict(one.lock.images).get(origin.argument)
        image = self.store.images.get(pinned) if pinned else None
        if image is None:
            image = self.store.images.resolve(origin.argument)
        one.images[origin.argument] = image.digest
        return image.tree

    def _finished(self, run: StageRun) -> Digest:
        if not run.done.is_set() and not self.waiting:
            raise NotYet
        run.done.wait()
        if run.error is not None:
            raise NotYet
        return run.tree

    def _fetched(self, one: RecipeRun, action: FetchFile) -> Digest:
        expected, source = action.sha256, "the recipe"
        if expected is None and one.lock is not None and not self.request.refresh:
            expected, source = dict(one.lock.fetched).get(action.url), "the lock"
        if expected is None and action.url in one.fetched:
            expected = one.fetched[action.url]
        if expected is None or not has_content(self.store, expected):
            if expected is None and not self.waiting:
                raise NotYet
            if self.waiting:
                expected = fetch(self.store, action.url, expected, source, lambda done, total: None)
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
        self.use_base(one, run, base, cached=True)
        try:
            missing = run.advance(self.store, one.gatherer, self.on_cached, self.may_look)
        except NotYet:
            return False
        if missing is not None:
            return False
        run.done.set()
        return True

    def use_base(self, one: RecipeRun, run: StageRun, base: object, *, cached: bool, seconds: float = 0.0) -> None:
        """Starts a stage from a base that is in the store, and tells so."""
        from envbuild.engine.stage_run import BaseTree

        assert isinstance(base, BaseTree)
        run.start_from(base, cached=cached, seconds=seconds)
        if run.stage.base.kind == "image":
            one.images[run.stage.base.argument] = base.origin.rpartition(":")[2]
        self.check_locked_base(one, run)
        if cached:
            self.count("cached")
            place = run.stage.base.place
            text = self.base_statement(run)
            self.emit(StepCached(self.numbers[id(run)], run.recipe, run.name, text, place.file, place.line, base.tree))

    def base_statement(self, run: StageRun) -> str:
        """The `from` statement of a stage."""
        return f"from {run.base_text}" + (f" as {run.stage.name}" if run.stage.name else "")

    def may_look(self, step: Step) -> bool:
        """Whether a step may come from the cache in this build."""
        if self.request.check and isinstance(step.action, Execute) and not step.test:
            return False
        return self.request.use_cache

    def on_cached(self, run: StageRun, result: StepResult) -> None:
        """A step came from the cache."""
        self.count("cached")
        self.check_locked_step(run, result)
        place = result.step.place
        number = self.step_number(run, result.step)
        self.emit(StepCached(number, run.recipe, run.name, result.step.text, place.file, place.line, result.tree))

    def step_number(self, run: StageRun, step: Step) -> int:
        """The number of a step in the events of this build."""
        ordered = (*run.plan.steps, *run.plan.tests)
        return self.numbers[id(run)] + 1 + next(i for i, one in enumerate(ordered) if one is step)

    def count(self, what: str) -> None:
        """Counts a step or base that ran or was cached."""
        with self._counting:
            self.counts[what] += 1

    # Obeying the lock

    def check_locked_base(self, one: RecipeRun, run: StageRun) -> None:
        """With --locked, refuses a base that is not the lock's; else tells when it differs."""
        assert run.base is not None
        if run.locked is None:
            if self.request.locked:
                raise LockOutOfDate(
                    locks.path_of(one.recipe.path), f"+ stage {run.name}: from {run.base_text}  (not in the lock)"
                )
            return
        if run.locked.digest == run.base.tree:
            return
        what = f"stage {run.name}: from {run.base_text}"
        if self.request.locked:
            raise LockOutOfDate(locks.path_of(one.recipe.path), f"  {what}\n- {run.locked.digest}\n+ {run.base.tree}")
        self.emit(
            Notice(
                "warning",
                f"{what} is not what the lock has (lock {run.locked.digest[:12]}, now {run.base.tree[:12]})",
                "the lock is renewed; look at its diff before you commit it",
            )
        )

    def check_locked_step(self, run: StageRun, result: StepResult) -> None:
        """With --locked, refuses a step whose key or tree is not the lock's; else tells of another tree."""
        if result.step.test or run.locked is None:
            return
        path = locks.path_of(self.owners[id(run)].recipe.path)
        number = next(i for i, step in enumerate(run.plan.steps) if step is result.step)
        text = locks.first_line(result.step.text)
        if number >= len(run.locked.steps):
            if self.request.locked:
                raise LockOutOfDate(path, f"+ {text}")
            return
        locked = run.locked.steps[number]
        if self.request.locked and locked.key != result.key:
            raise LockOutOfDate(path, f"- {locked.text}\n+ {text}" if locked.text != text else _changed(text))
        if locked.key == result.key and result.tree and locked.tree != result.tree:
            if self.request.locked:
                raise LockOutOfDate(path, f"  {text}\n- gave tree {locked.tree}\n+ gave tree {result.tree}")
            self.emit(
                Notice(
                    "warning",
                    f"'{text}' gave another tree than the lock has for it",
                    "the step is not reproducible: `envbuild build --check` shows which files differ",
                )
            )

    # Publishing

    def publish_all(self) -> BuildResult:
        """Records the images, moves the tags, and writes the locks, the needed recipes' first."""
        results = [self._publish(one) for one in self.recipes]
        return results[-1]

    def _publish(self, one: RecipeRun) -> BuildResult:
        top = one is self.recipes[-1]
        recipe = one.recipe
        image_digest_now = image_digest(one.target.tree, one.target.facts)
        name, tag = recipe.name, LATEST
        if top and self.request.tag is not None:
            name, tag = split_name(self.request.tag)
        partial = top and self.request.stage is not None
        known = self.store.images.get(image_digest_now)
        ran = any(not result.cached for run in one.runs for result in (*run.results, *run.tests))
        if known is None or ran:
            self.store.images.put(image_of(recipe, one.runs, one.target))
        tags: tuple[str, ...] = ()
        if not partial or self.request.tag is not None:
            tags = (f"{name}:{tag}",)
            if self.store.images.tagged(name, tag) != image_digest_now:
                self.store.images.move(name, tag, image_digest_now, f"build {recipe.path}")
        self.store.images.succeed(recipe.name)
        lock_path = locks.path_of(recipe.path)
        state = "none"
        if not partial and not (top and self.request.settings):
            state = self._write_lock(one, lock_path)
        if top:
            self.emit(
                BuildFinished(
                    recipe.name,
                    image_digest_now,
                    tags,
                    one.target.tree,
                    time.monotonic() - self.started,
                    self.counts["ran"],
                    self.counts["cached"],
                    lock_path,
                    state,
                )
            )
        return BuildResult(image_digest_now, one.target.tree, tags, self.counts["ran"], self.counts["cached"])

    def _write_lock(self, one: RecipeRun, path: str) -> str:
        image = self.store.images.get(image_digest(one.target.tree, one.target.facts))
        assert image is not None
        fetched = tuple(sorted(one.fetched.items()))
        images = tuple(sorted(one.images.items()))
        text = locks.dump(lock_of(one.recipe, one.runs, image, self.store, fetched, images))
        keys = [result.key for run in one.runs for result in (*run.results, *run.tests)]
        trees = [tree for run in one.runs if run.base for tree in (run.base.tree, *(r.tree for r in run.results))]
        state = "unchanged"
        if text != one.lock_text:
            if self.request.locked:
                raise LockOutOfDate(path, locks.difference(path, one.lock_text or "", text))
            publish.at(publish.LOCK)
            locks.write(path, text)
            state = "written"
        if state == "written" or not self.store.is_registered(os.path.abspath(path), keys):
            named = [*trees, *(f"{FETCHED}{digest}" for _, digest in fetched)]
            self.store.register_lock(os.path.abspath(path), keys, named)
        return state


def _join(folder: str, path: str) -> str:
    return os.path.normpath(os.path.join(folder, path))


def _refuse_packages(stage: model.Stage) -> None:
    for statement in stage.statements:
        if isinstance(statement, PACKAGE_STATEMENTS):
            raise PackagesNotYet(statement)


def _changed(text: str) -> str:
    return f"~ {text}  (its files, base or environment changed)"


def build(request: BuildRequest, store: Store, emit: Emit) -> BuildResult:
    """Builds a recipe and returns the image that it came to.

    `emit` is called with each event, also from other threads. Raises EnvbuildError kinds; one with `told` was
    reported as an event already.
    """
    store.share()
    state = Build(request, store, emit)
    state.load_all()
    if not state.go_along_cache():
        from envbuild.engine.run_missing import MissingRunner  # sandbox and threads: only when something runs

        MissingRunner(state).run()
    return state.publish_all()
