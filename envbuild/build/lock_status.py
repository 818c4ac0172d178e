"""Whether a lock is what its recipe gives, found without running anything and without the images that it names.

The recipe is gone along as a build would, with the lock for a cache: a step whose key is the lock's has the lock's
tree.
"""

from __future__ import annotations

import os

from envbuild.build.cache_miss import Explainer, named_inputs
from envbuild.build.context import ContextError
from envbuild.build.files_read import files_read
from envbuild.build.inputs import Gatherer, Inputs
from envbuild.build.loader import load_all
from envbuild.build.request import BuildRequest
from envbuild.build.stage import StageRun, StepResult
from envbuild.build.state import NotYet, RecipeRun, Session
from envbuild.errors import EnvbuildError
from envbuild.images.lock_attestation import result_of
from envbuild.lockfile.lock import Lock, LockOutOfDate, first_line
from envbuild.plan import key_parts
from envbuild.plan.image_config import image_digest
from envbuild.plan.key import key_of
from envbuild.plan.step import Origin, Step
from envbuild.record import Record
from envbuild.store.database import StoreDamaged
from envbuild.store.images import NoSuchImage
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
    """The state of a recipe's lock, also of one that can't be read."""
    try:
        return lock_state(path, store, project=project)
    except EnvbuildError as error:
        name = os.path.basename(path).removesuffix(".env")
        return LockState(name, path, UNREADABLE, tuple(error.message.splitlines()[:1]))


def reason_in_commit(store: Store, folder: str, commit: str, path: str) -> str:
    """Why the lock of the recipe at `path` of the repository that `folder` lies in is not what the recipe gives, as the
    commit has both; "" if it is."""
    from envbuild.git.checkout import checked_out  # git: only where a revision is named
    from envbuild.git.repository import Repository

    with checked_out(Repository(folder), commit) as files:
        state = state_of(f"{files}/{path}", store, os.path.realpath(files))
    return "" if state.state == CURRENT else "; ".join(state.reasons[:3]) or f"its lock is {state.state}"


class _Unknown(Exception):
    """Something of the store is needed to tell."""


def lock_state(path: str, store: Store, epoch: int | None = None, project: str = "") -> LockState:
    """The state of the lock of the recipe at `path`; `project` is as a build's request has it.

    Raises the errors of a build that can't begin: RecipeErrors, ContextError, BadLock.
    """
    request = BuildRequest(path=path, locked=True, epoch=epoch, project=project)
    session = Session(request, store, lambda event: None, reason_in_commit)
    name = os.path.basename(path).removesuffix(".env")
    try:
        load_all(session)
    except LockOutOfDate:
        return LockState(name, path, MISSING, ("there is no lock: envbuild build makes it",))
    top = session.recipes[-1]
    assert top.lock is not None
    walk = _Walk(session)
    state, reasons = CURRENT, list[str]()
    try:
        for one in session.recipes:
            reasons += walk.recipe(one)
        if reasons:
            state = OUTDATED
    except (_Unknown, NotYet, NoSuchImage, StoreDamaged) as error:
        state = UNKNOWN
        needed = getattr(error, "message", "") or str(error) or "an image that it needs is not in the store"
        reasons = [f"{needed}; build it here to know"]
    read = tuple(files_read(session, top))
    proven = walk.proven and state == CURRENT
    return LockState(top.recipe.name, path, state, tuple(reasons), tuple(walk.changed), top.lock, read, proven)


def _place(step: Step) -> str:
    return f"{step.place.file}:{step.place.line}"


class _Walk:
    def __init__(self, session: Session) -> None:
        self._session = session
        self._explainer = Explainer(session.store)
        self.changed: list[str] = []
        self.proven = True

    def recipe(self, one: RecipeRun) -> list[str]:
        """What of this recipe differs from its lock."""
        assert one.lock is not None
        session = self._session
        one.gatherer = Gatherer(
            session.store,
            lambda folder: session.context(one, folder),
            lambda origin: self._tree_of(one, origin),
            lambda action: session.fetched(one, action),
            lambda step, contents: session.packages(one, step, contents),
        )
        reasons: list[str] = []
        for run in one.runs:
            try:
                reasons += self._stage(one, run)
            except LockOutOfDate as error:
                reasons.append(error.message.partition("\n")[2].strip() or error.message)
            if reasons:
                return reasons
            run.done.set()
        names = {run.name for run in one.runs}
        gone = [stage.name for stage in one.lock.stages if stage.name not in names]
        reasons += [f"stage {name} is no longer in the recipe" for name in gone]
        if tuple(sorted(one.recipe.parameters)) != one.lock.parameters:
            reasons.append("the recipe's parameters changed")
        elif one.target.tree != one.lock.tree and not reasons:
            reasons.append(f"the lock's tree {one.lock.tree[:12]} is not what its own steps come to")
        elif image_digest(one.target.tree, one.target.facts) != one.lock.image and not reasons:
            reasons.append("what the image says beside its files changed (env, user, start, expose ...)")
        return reasons

    def _stage(self, one: RecipeRun, run: StageRun) -> list[str]:
        session = self._session
        locked = run.locked
        if locked is None:
            return [f"stage {run.name} from {run.base_text} is not in the lock"]
        try:
            base = one.bases.find(run) or one.bases.as_locked(run)
        except ContextError:
            base = one.bases.as_locked(run)  # an archive that is not kept with the recipe
        if run.stage.base.kind in ("host", "debian") and not one.bases.is_here(run):
            self.proven = False
        run.start_from(base, cached=True)
        if run.stage.base.kind == "image":
            one.images[run.stage.base.argument] = base.origin.rpartition(":")[2]
        if base.tree != locked.digest:
            return [f"its base {run.base_text} is another one ({locked.digest[:12]} in the lock, now {base.tree[:12]})"]
        for number, step in enumerate(run.plan.steps):
            try:
                inputs = one.gatherer.gather(step, run.facts.epoch)
            except NotYet:
                return [f"{_place(step)}: '{first_line(step.text)}' asks for something that the lock does not have"]
            key = locked.steps[number].key if number < len(locked.steps) else ""
            if key not in self._keys(run, step, inputs):
                reason = self._difference(run, step, number, inputs)
                self._look_at_later(one, run, number + 1)
                return [reason]
            tree = locked.steps[number].tree
            made = result_of(session.store, key)
            if made is None:
                self.proven = False
            elif made != tree:
                return [
                    f"{_place(step)}: '{first_line(step.text)}' gave {made[:12]} here, and the lock has {tree[:12]}"
                ]
            result = StepResult(step, key, tree, EMPTY_CONTENT, 0.0, True)
            run.finish_step(result)
        if len(locked.steps) > len(run.plan.steps):
            return [f"'{locked.steps[len(run.plan.steps)].text}' is no longer in the recipe"]
        return []

    def _keys(self, run: StageRun, step: Step, inputs: Inputs) -> tuple[str, str]:
        """The step's key where owners are kept, and where not: the lock may come from either kind of machine."""
        epoch = run.facts.epoch
        kept = key_of(step, run.tree, inputs.digests, epoch, owners_kept=True)
        return kept, key_of(step, run.tree, inputs.digests, epoch, owners_kept=False)

    def _difference(self, run: StageRun, step: Step, number: int, inputs: Inputs) -> str:
        assert run.locked is not None
        place = _place(step)
        text = first_line(step.text)
        locked = run.locked.steps[number].text if number < len(run.locked.steps) else None
        if locked is None:
            return f"{place}: '{text}' is new"
        if locked != text:
            return f"{place}: '{text}' where the lock has '{locked}'"
        why = self._why(run, step, inputs)
        self.changed += [one for one in why if one not in self.changed]
        return f"{place}: '{text}': {'; '.join(why) or 'its files, base or environment changed'}"

    def _look_at_later(self, one: RecipeRun, run: StageRun, number: int) -> None:
        """Files of the folder that changed for later statements, whatever their parent tree will be."""
        for step in run.plan.steps[number:]:
            try:
                inputs = one.gatherer.gather(step, run.facts.epoch)
            except (EnvbuildError, NotYet, _Unknown):
                continue
            if inputs.found or inputs.text or inputs.contents:
                self.changed += [text for text in self._why(run, step, inputs) if text not in self.changed]

    def _why(self, run: StageRun, step: Step, inputs: Inputs) -> list[str]:
        """What changed of a step's own, as far as the store remembers what it was made from."""
        session = self._session
        now = key_parts.parts_of(step, run.tree, named_inputs(step, inputs), run.facts.epoch)
        source = session.source(run, step, now)
        remembered = session.store.steps.nearest(step.text, source, frozenset())
        before = key_parts.load(remembered) if remembered is not None else None
        if before is None:
            return []
        before = before.replace(parent=now.parent, owners_kept=now.owners_kept)
        return list(self._explainer.reasons(before, now, inputs)) if before != now else []

    def _tree_of(self, one: RecipeRun, origin: Origin) -> Digest:
        tree = self._session.tree_of(one, origin)
        if not self._session.store.trees.has(tree):
            raise _Unknown(f"{origin.argument or origin.kind} is not in the store")
        return tree
