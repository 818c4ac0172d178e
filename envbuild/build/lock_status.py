"""The state of a lock: whether it is what its recipe gives, found without running anything and without the images that
it names.

The walk is that of a build with the lock for a cache: a step whose key is in the lock has the lock's tree, unless this
store has a record of its own. Where the results end, the pins are compared on their own.
"""

from __future__ import annotations

import os

from envbuild.build.bases import Bases
from envbuild.build.cache_miss import Explainer
from envbuild.build.capture_base import CaptureNotHere
from envbuild.build.graph import Graph, PlannedRecipe, Stage
from envbuild.build.inputs import Gatherer, known_file
from envbuild.build.known_results import KnownResults
from envbuild.build.loader import load_graph
from envbuild.build.locked_answers import LockedAnswers
from envbuild.build.named_inputs import parts_and_source
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
from envbuild.images.find import InCommit, NoSuchImage
from envbuild.language.base_kinds import Debian, Host, ImageFileBase, RegistryBase
from envbuild.lockfile.lock import EARLIER, Lock, LockOutOfDate, first_line, path_of
from envbuild.lockfile.lock_file import read_lock
from envbuild.plan import key_parts
from envbuild.plan.image_config import image_digest
from envbuild.plan.step import FetchFile, InstallPackages, Origin, Step
from envbuild.record import Record, assert_never
from envbuild.store.database import StoreDamaged
from envbuild.store.store import Store
from envbuild.tree.entry import Digest

CURRENT, OUTDATED, MISSING, UNKNOWN, UNREADABLE = "up to date", "out of date", "missing", "unknown", "unreadable"
INCOMPLETE = "incomplete"
"""All pins hold, and the lock does not have all results: `--locked` builds what is missing."""
_IN_COMMIT = "image in commit"
"""Under which the store's memo keeps which image a recipe of a commit gives."""


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
    """Whether what the recipe gives follows from results that its steps gave in this store. Else it follows from the
    recipe what the steps are, and what they give is the lock's own word."""
    image: Digest = ""
    """The digest of the image that the recipe gives, "" if that is not known: one of its steps was not run yet."""


def state_of(path: str, store: Store, project: str) -> LockState:
    """Return the state of a recipe's lock, also of one that can't be read."""
    try:
        return lock_state(path, store, project=project)
    except EnvbuildError as error:
        name = os.path.basename(path).removesuffix(".env")
        return LockState(name, path, UNREADABLE, tuple(error.message.splitlines()[:1]))


def image_in_commit(store: Store, folder: str, commit: str, path: str) -> InCommit:
    """Return the image that a recipe gives in a commit, with the commit's lock, as `look_up` asks for it. `path` is the
    recipe's in the repository that `folder` lies in."""
    from envbuild.git.checkout import checked_out  # git: only where a revision is named
    from envbuild.git.repository import Repository

    key = f"{commit} {path}"
    remembered = store.memo.get(_IN_COMMIT, key)
    if remembered is not None and store.images.get(remembered.decode("ascii", "replace")) is not None:
        return InCommit(remembered.decode("ascii", "replace"), True, "")
    with checked_out(Repository(folder), commit) as files:
        state = state_of(f"{files}/{path}", store, os.path.realpath(files))
        reason = "; ".join(state.reasons[:3]).replace(f"{files}/", "") or f"its lock is {state.state}"
    if state.image and state.proven and not store.database.read_only:
        store.memo.put(_IN_COMMIT, key, state.image.encode())
    return InCommit(state.image, state.proven, reason)


class _NotInStore(Exception):
    """Something of the store is needed to tell."""


def lock_state(path: str, store: Store, epoch: int | None = None, project: str = "") -> LockState:
    """Return the state of the lock of the recipe at `path`; `project` is as a build's request has it.

    Raises the errors of a build that can't begin: RecipeErrors, ContextError, BadLock.
    """
    request = BuildRequest(path=path, locked=True, epoch=epoch)
    files_of = project or project_of(path)
    try:
        graph = load_graph(request, store, files_of)
    except LockOutOfDate as error:
        name = os.path.basename(path).removesuffix(".env")
        if error.path == path_of(path):
            return LockState(name, path, MISSING, ("there is no lock: envbuild build makes it",))
        # Of a recipe that it is built from: that one has to be mended, and not this one.
        needed = f"{error.path.removesuffix('.lock')} has no lock, and this is built from it"
        return LockState(name, path, UNKNOWN, (needed,), lock=_lock_at(path, store, project))
    top = graph.top
    assert top.lock is not None
    comparison = _Comparison(request, store, graph, files_of)
    state, reasons = CURRENT, list[str]()
    try:
        for recipe in graph.recipes:
            reasons += comparison.recipe(recipe)
        if reasons:
            state = OUTDATED
        elif comparison.missing:
            state, reasons = INCOMPLETE, comparison.missing
    except (_NotInStore, NotKnownYet, NoSuchImage, CaptureNotHere, StoreDamaged) as error:
        state = UNKNOWN
        needed = getattr(error, "message", "") or str(error) or "an image that it needs is not in the store"
        reasons = [f"{needed}; build it here to know"]
    read = tuple(comparison.sources.files_read(top))
    image = comparison.image(top) if state in (CURRENT, INCOMPLETE) else ""
    changed = tuple(comparison.changed)
    proven = comparison.proven and bool(image)
    return LockState(top.recipe.name, path, state, tuple(reasons), changed, top.lock, read, proven, image)


def _lock_at(path: str, store: Store, project: str) -> Lock:
    lock_path = path_of(path)
    return read_lock(lock_text(lock_path, project), lock_path, store)


class _TreesInStore(Gatherer):
    """Looks into trees of other stages only if the store has them: the lock names them without it."""

    def tree_of(self, stage: Stage, origin: Origin) -> Digest:
        tree = super().tree_of(stage, origin)
        if not tree:
            raise NotKnownYet
        if not self._store.trees.has(tree):
            raise _NotInStore(f"{origin.argument or origin.kind} is not in the store")
        return tree


class _Comparison:
    """What the recipes of a graph give, compared with their locks."""

    def __init__(self, request: BuildRequest, store: Store, graph: Graph, project: str) -> None:
        self._store = store
        self._graph = graph
        self._explainer = Explainer(store)
        self._progress = Progress(graph, tests=False)
        self.sources = Sources(store, project, image_in_commit, pinned=True)
        self._bases = Bases(store, graph, self.sources, request)
        self._known = KnownResults(store, graph, self._bases)
        self._answers = LockedAnswers(graph, store, renew=frozenset(), strict=True)
        self._inputs = _TreesInStore(store, graph, self.sources, self._progress.ended, known_file)
        self.changed: list[str] = []
        self.missing: list[str] = []
        """Why the lock does not have all results."""
        self.proven = True
        self._factless: set[int] = set()
        """The numbers of stages whose base is an image that is not here: its facts are in no lock, and so the keys of
        their steps are not known."""

    def image(self, recipe: PlannedRecipe) -> Digest:
        """Return the image that a recipe comes to, "" if that is not known."""
        target = self._progress[recipe.target]
        known = target.ended and target.tree and not self._factless
        return image_digest(target.tree, target.facts) if known else ""

    def recipe(self, recipe: PlannedRecipe) -> list[str]:
        """Return what of this recipe differs from its lock."""
        lock = recipe.lock
        assert lock is not None
        if lock.is_earlier:
            return [f"{os.path.basename(recipe.lock_path)}: {EARLIER}; a build renews it"]
        before = len(self.missing)
        for stage in recipe.stages:
            try:
                reason = self._stage(stage)
            except LockOutOfDate as error:
                reason = error.message.partition("\n")[2].strip() or error.message
            if reason:
                return [reason]
        names = {stage.name for stage in recipe.stages}
        reasons = [f"stage {stage.name} is no longer in the recipe" for stage in lock.stages if stage.name not in names]
        if tuple(sorted(recipe.recipe.parameters)) != lock.parameters:
            reasons.append("the recipe's parameters changed")
        gone = dict(lock.own.fetched).keys() - self.sources.fetched(recipe).keys()
        reasons += [f"the recipe no longer fetches {url}" for url in sorted(gone)]
        if reasons or len(self.missing) > before:
            return reasons
        gone = dict(lock.own.images).keys() - self.sources.images(recipe).keys()
        reasons += [f"the recipe no longer takes from image {reference}" for reference in sorted(gone)]
        image = self.image(recipe)
        if image not in [known.digest for known in lock.results.images]:
            known = "the lock has another image" if lock.results.images else "the lock has no image"
            what = "a statement is gone, or what the image says beside its files changed (env, user, start, expose ...)"
            self.missing.append(f"{known}: {what}")
        return reasons

    def _stage(self, stage: Stage) -> str:
        """Return the first difference of a stage, "" for none."""
        if stage.locked is None:
            return f"stage {stage.name} from {stage.base_text} is not in the lock"
        for met in walk((stage,), self._progress, self._known, self._answers, self._inputs):
            reason = self._reason(met)
            if reason:
                return reason
        at = self._progress[stage]
        installs = sum(isinstance(step.action, InstallPackages) for step in at.plan.steps)
        if len(stage.locked.installs) > installs:
            return f"'{stage.locked.installs[-1].text}' is no longer in the recipe, or another such statement"
        return ""

    def _reason(self, met: Met) -> str:
        match met:
            case BaseFound(stage=stage, base=base):
                return self._base(stage, base)
            case StepFound(stage=stage, result=result):
                return self._result(stage, result)
            case BaseMissing(stage=stage):
                return self._without_base(stage)
            case InputsMissing(stage=stage, step=step):
                at = self._progress[stage]
                return self._pin(step) or self._later(at, at.next_number + 1)
            case StepMissing(pending=pending):
                self._miss(pending)
                return self._later(self._progress[pending.stage], pending.number + 1)
            case StageEnded():
                return ""
            case _:
                return assert_never(met)

    def _base(self, stage: Stage, base: BaseTree) -> str:
        locked = stage.locked
        assert locked is not None
        if self._is_factless(stage):
            self._factless.add(stage.number)
        if isinstance(stage.base, (Host, Debian)) and not self._bases.is_here(stage):
            self.proven = False
        if locked.follows:
            return ""
        if not locked.digest:
            return f"two branches renewed its base {stage.base_text}: a build decides"
        if isinstance(stage.base, (ImageFileBase, RegistryBase)) and stage.number in self._factless:
            self._note_missing(f"the image {stage.base_text} is not in the store, and what it says is in no lock")
            return ""
        if base.tree != locked.digest:
            here, now = locked.digest[:12], base.tree[:12]
            return f"its base {stage.base_text} is another one ({here} in the lock, now {now})"
        if base.facts.epoch != locked.epoch:
            return f"its times count from {base.facts.epoch}, and in the lock from {locked.epoch}"
        return ""

    def _is_factless(self, stage: Stage) -> bool:
        if isinstance(stage.base, (ImageFileBase, RegistryBase)):
            return not self._known.has_base(stage)
        return any(number in self._factless for number in stage.needs[:1])

    def _without_base(self, stage: Stage) -> str:
        """Compare the pins of a stage whose base is not known yet."""
        below = self._progress.get(self._graph.stages[stage.needs[0]])
        if below is None:
            raise NotKnownYet
        self._note_missing(f"what stage {stage.name} starts from is not known until a build")
        return self._later(self._progress.begin(stage, BaseTree("", below.facts, "")), 0)

    def _pin(self, step: Step) -> str:
        """Return what is wrong with the pins of a step whose inputs are not known."""
        if isinstance(step.action, FetchFile):
            return f"{_place(step)}: '{first_line(step.text)}' asks for something that the lock does not have"
        self._note_missing(f"{_place(step)}: what '{first_line(step.text)}' takes is not known until a build")
        return ""

    def _note_missing(self, reason: str) -> None:
        if reason not in self.missing:
            self.missing.append(reason)

    def _result(self, stage: Stage, result: StepResult) -> str:
        own, trees = self._known.own(stage, result.key), self._known.locked(stage, result.key)
        what = f"{_place(result.step)}: '{first_line(result.step.text)}'"
        if len(trees) > 1:
            return f"{what}: the lock has two results for it, {' and '.join(tree[:12] for tree in trees)}"
        if own is None:
            self.proven = False
        elif trees and trees[0] != own:
            return f"{what} gave {own[:12]} here, and the lock has {trees[0][:12]}"
        if not trees and stage.number not in self._factless:
            self._note_missing(f"{what}: what it gives is not in the lock")
        return ""

    def _miss(self, pending: PendingStep) -> None:
        """Note that nobody knows what a step gives."""
        if pending.stage.number in self._factless:
            return
        why = self._why(pending)
        self.changed += [reason for reason in why if reason not in self.changed]
        changed = "; ".join(why) or "what it gives is not in the lock"
        self._note_missing(f"{_place(pending.step)}: '{first_line(pending.step.text)}': {changed}")

    def _later(self, at: StageProgress, number: int) -> str:
        """Compare the pins of later statements, whatever their parent tree will be, and note files that changed for
        them. Return the first difference, "" for none."""
        for later in range(number, len(at.plan.steps)):
            step = at.steps[later]
            try:
                pending = pending_step(at, later, step, self._answers, self._inputs)
            except LockOutOfDate:
                raise
            except NotKnownYet:
                reason = self._pin(step)
                if reason:
                    return reason
                continue
            except (EnvbuildError, _NotInStore):
                continue
            inputs = pending.inputs
            if inputs.files or inputs.text or inputs.contents:
                self.changed += [reason for reason in self._why(pending) if reason not in self.changed]
        return ""

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
