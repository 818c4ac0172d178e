"""The state of a lock: whether it is what its recipe gives, found without running anything and without the images that
it names.

The walk is that of a build with the lock for a cache: a step whose key is the lock's has the lock's tree.
"""

from __future__ import annotations

import os

from envbuild.build.bases import Bases
from envbuild.build.cache_miss import Explainer, parts_and_source
from envbuild.build.context_ignore import ContextError
from envbuild.build.graph import Graph, PlannedRecipe, Stage
from envbuild.build.inputs import Gatherer, known_file
from envbuild.build.loader import load_graph
from envbuild.build.package_lock import LockedAnswers
from envbuild.build.progress import BaseTree, NotKnownYet, Progress, StageProgress, StepResult
from envbuild.build.recipe_files import lock_text, project_of
from envbuild.build.request import BuildRequest
from envbuild.build.sources import Sources
from envbuild.build.walk import (
    BaseFound,
    BaseMissing,
    InputsMissing,
    Met,
    PendingStep,
    StageEnded,
    StepFound,
    StepMissing,
    pending_step,
    walk,
)
from envbuild.errors import EnvbuildError
from envbuild.images.find import NoSuchImage
from envbuild.images.lock_attestation import result_of
from envbuild.language.model import Debian, Host
from envbuild.lockfile.lock import EARLIER, Lock, LockOutOfDate, first_line, path_of
from envbuild.lockfile.lock_file import read_lock
from envbuild.plan import key_parts
from envbuild.plan.image_config import image_digest
from envbuild.plan.step import Origin, Step
from envbuild.record import Record, assert_never
from envbuild.store.database import StoreDamaged
from envbuild.store.store import Store
from envbuild.tree.entry import EMPTY_CONTENT, Digest

CURRENT, OUTDATED, MISSING, UNKNOWN, UNREADABLE = "up to date", "out of date", "missing", "unknown", "unreadable"


class LockState(Record):
    """`state` is one of the words above; `reasons` say what differs, or what is needed to know; `changed` are the files
    of the recipe's folder that changed since the lock was made, as far as the store remembers what they were. `lock` is
    None where there is none."""

    recipe: str
    path: str
    state: str
    reasons: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    lock: Lock | None = None
    read: tuple[str, ...] = ()
    """The real paths of the files that the recipe is made of and takes, as far as they were looked at."""
    proven: bool = False
    """Whether an up-to-date lock has, for each step, the result that the step gave in this store. Else it follows from
    the recipe what the steps are, and what they give is the lock's own word."""


def state_of(path: str, store: Store, project: str) -> LockState:
    """Return the state of a recipe's lock, also of one that can't be read."""
    try:
        return lock_state(path, store, project=project)
    except EnvbuildError as error:
        name = os.path.basename(path).removesuffix(".env")
        return LockState(name, path, UNREADABLE, tuple(error.message.splitlines()[:1]))


def reason_in_commit(store: Store, folder: str, commit: str, path: str) -> str:
    """Return why the lock of a recipe is not what the recipe gives, as a commit has both; "" if it is. `path` is the
    recipe's in the repository that `folder` lies in."""
    from envbuild.git.checkout import checked_out  # git: only where a revision is named
    from envbuild.git.repository import Repository

    with checked_out(Repository(folder), commit) as files:
        state = state_of(f"{files}/{path}", store, os.path.realpath(files))
    return "" if state.state == CURRENT else "; ".join(state.reasons[:3]) or f"its lock is {state.state}"


class _NotInStore(Exception):
    """Something of the store is needed to tell."""


def lock_state(path: str, store: Store, epoch: int | None = None, project: str = "") -> LockState:
    """Return the state of the lock of the recipe at `path`; `project` is as a build's request has it.

    Raises the errors of a build that can't begin: RecipeErrors, ContextError, BadLock.
    """
    request = BuildRequest(path=path, locked=True, epoch=epoch)
    try:
        graph = load_graph(request, store, project or project_of(path))
    except LockOutOfDate as error:
        name = os.path.basename(path).removesuffix(".env")
        if error.path == path_of(path):
            return LockState(name, path, MISSING, ("there is no lock: envbuild build makes it",))
        # Of a recipe that it is built from: that one has to be mended, and not this one.
        needed = f"{error.path.removesuffix('.lock')} has no lock, and this is built from it"
        return LockState(name, path, UNKNOWN, (needed,), lock=_lock_at(path, store, project))
    top = graph.top
    assert top.lock is not None
    comparison = _Comparison(request, store, graph)
    state, reasons = CURRENT, list[str]()
    try:
        for recipe in graph.recipes:
            reasons += comparison.recipe(recipe)
        if reasons:
            state = OUTDATED
    except (_NotInStore, NotKnownYet, NoSuchImage, StoreDamaged) as error:
        state = UNKNOWN
        needed = getattr(error, "message", "") or str(error) or "an image that it needs is not in the store"
        reasons = [f"{needed}; build it here to know"]
    read = tuple(comparison.sources.files_read(top))
    proven = comparison.proven and state == CURRENT
    return LockState(top.recipe.name, path, state, tuple(reasons), tuple(comparison.changed), top.lock, read, proven)


def _lock_at(path: str, store: Store, project: str) -> Lock:
    lock_path = path_of(path)
    return read_lock(lock_text(lock_path, project), lock_path, store)


class LockCache:
    """The locks of a graph as a cache: a step whose key is the locked one has the locked tree."""

    def __init__(self, bases: Bases) -> None:
        self._bases = bases

    def base(self, stage: Stage) -> BaseTree:
        """Return the base of a stage: as it is now, if the store has it, else as the lock has it."""
        try:
            return self._bases.find(stage) or self._bases.as_locked(stage)
        except ContextError:
            return self._bases.as_locked(stage)  # an archive that is not kept with the recipe

    def result(self, pending: PendingStep) -> StepResult | None:
        """Return the result that the lock has for a step, whether it was made where owners are kept or not."""
        locked = pending.stage.locked
        if locked is None or pending.number >= len(locked.steps):
            return None
        step = locked.steps[pending.number]
        if step.key not in (pending.key(owners_kept=True), pending.key(owners_kept=False)):
            return None
        return StepResult(pending.number, pending.step, step.key, step.tree, EMPTY_CONTENT, 0.0, True)


class _TreesInStore(Gatherer):
    """Looks into trees of other stages only if the store has them: the lock names them without it."""

    def tree_of(self, stage: Stage, origin: Origin) -> Digest:
        tree = super().tree_of(stage, origin)
        if not self._store.trees.has(tree):
            raise _NotInStore(f"{origin.argument or origin.kind} is not in the store")
        return tree


class _Comparison:
    """What the recipes of a graph give, compared with their locks."""

    def __init__(self, request: BuildRequest, store: Store, graph: Graph) -> None:
        self._store = store
        self._graph = graph
        self._explainer = Explainer(store)
        self._progress = Progress(graph, tests=False)
        self.sources = Sources(store, reason_in_commit, pinned=True)
        self._bases = Bases(store, graph, self.sources, request)
        self._cache = LockCache(self._bases)
        self._answers = LockedAnswers(graph, store, renew=False, strict=True)
        self._inputs = _TreesInStore(store, graph, self.sources, self._progress.ended, known_file)
        self.changed: list[str] = []
        self.proven = True

    def recipe(self, recipe: PlannedRecipe) -> list[str]:
        """Return what of this recipe differs from its lock."""
        lock = recipe.lock
        assert lock is not None
        if lock.is_earlier:
            return [f"{os.path.basename(recipe.lock_path)}: {EARLIER}; a build renews it"]
        if lock.merged:
            # Some of its digests are unknown, and those that are not are one branch's: neither says anything.
            return ["git merged two branches' locks: what both come to together is not known until a build"]
        for stage in recipe.stages:
            try:
                reason = self._stage(stage)
            except LockOutOfDate as error:
                reason = error.message.partition("\n")[2].strip() or error.message
            if reason:
                return [reason]
        names = {stage.name for stage in recipe.stages}
        gone = [stage.name for stage in lock.stages if stage.name not in names]
        reasons = [f"stage {name} is no longer in the recipe" for name in gone]
        target = self._progress[recipe.target]
        if tuple(sorted(recipe.recipe.parameters)) != lock.parameters:
            reasons.append("the recipe's parameters changed")
        elif target.tree != lock.tree and not reasons:
            reasons.append(f"the lock's tree {lock.tree[:12]} is not what its own steps come to")
        elif image_digest(target.tree, target.facts) != lock.image and not reasons:
            reasons.append("what the image says beside its files changed (env, user, start, expose ...)")
        return reasons

    def _stage(self, stage: Stage) -> str:
        """Return the first difference of a stage, "" for none."""
        if stage.locked is None:
            return f"stage {stage.name} from {stage.base_text} is not in the lock"
        for met in walk((stage,), self._progress, self._cache, self._answers, self._inputs):
            reason = self._reason(met)
            if reason:
                return reason
        return ""

    def _reason(self, met: Met) -> str:
        match met:
            case BaseFound(stage=stage, base=base):
                return self._base(stage, base)
            case StepFound(result=result):
                return self._result(result)
            case BaseMissing(stage=stage):
                return f"its base {stage.base_text} is not what its own lock has"
            case InputsMissing(step=step):
                return f"{_place(step)}: '{first_line(step.text)}' asks for something that the lock does not have"
            case StepMissing(pending=pending):
                reason = self._difference(pending)
                self._look_at_later(self._progress[pending.stage], pending.number + 1)
                return reason
            case StageEnded(stage=stage):
                return self._end(stage)
            case _:
                return assert_never(met)

    def _base(self, stage: Stage, base: BaseTree) -> str:
        assert stage.locked is not None
        if isinstance(stage.base, (Host, Debian)) and not self._bases.is_here(stage):
            self.proven = False
        if base.tree == stage.locked.digest:
            return ""
        here, now = stage.locked.digest[:12], base.tree[:12]
        return f"its base {stage.base_text} is another one ({here} in the lock, now {now})"

    def _result(self, result: StepResult) -> str:
        made = result_of(self._store, result.key)
        if made is None:
            self.proven = False
        elif made != result.tree:
            text = first_line(result.step.text)
            return f"{_place(result.step)}: '{text}' gave {made[:12]} here, and the lock has {result.tree[:12]}"
        return ""

    def _end(self, stage: Stage) -> str:
        assert stage.locked is not None
        steps = len(self._progress[stage].plan.steps)
        return (
            f"'{stage.locked.steps[steps].text}' is no longer in the recipe" if len(stage.locked.steps) > steps else ""
        )

    def _difference(self, pending: PendingStep) -> str:
        locked = pending.stage.locked
        assert locked is not None
        place = _place(pending.step)
        text = first_line(pending.step.text)
        if pending.number >= len(locked.steps):
            return f"{place}: '{text}' is new"
        before = locked.steps[pending.number].text
        if before != text:
            return f"{place}: '{text}' where the lock has '{before}'"
        why = self._why(pending)
        self.changed += [reason for reason in why if reason not in self.changed]
        return f"{place}: '{text}': {'; '.join(why) or 'its files, base or environment changed'}"

    def _look_at_later(self, at: StageProgress, number: int) -> None:
        """Note files of the folder that changed for later statements, whatever their parent tree will be."""
        for later in range(number, len(at.plan.steps)):
            try:
                pending = pending_step(at, later, at.steps[later], self._answers, self._inputs)
            except (EnvbuildError, NotKnownYet, _NotInStore):
                continue
            inputs = pending.inputs
            if inputs.found or inputs.text or inputs.contents:
                self.changed += [reason for reason in self._why(pending) if reason not in self.changed]

    def _why(self, pending: PendingStep) -> list[str]:
        """Return what changed of a step's own, as far as the store remembers what it was made from."""
        path = self._graph.recipe_of(pending.stage).path
        now, source = parts_and_source(pending, path, owners_kept=True)
        remembered = self._store.steps.nearest(pending.step.text, source, frozenset())
        before = key_parts.load(remembered) if remembered is not None else None
        if before is None:
            return []
        before = before.replace(parent=now.parent, owners_kept=now.owners_kept)
        return list(self._explainer.reasons(before, now, pending.inputs)) if before != now else []


def _place(step: Step) -> str:
    return f"{step.place.file}:{step.place.line}"
