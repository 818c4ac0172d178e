"""What statements about packages mean as the lock has it: when it answers, and which versions it holds otherwise."""

from __future__ import annotations

from envbuild.build.graph import Graph, Stage
from envbuild.build.inputs import declared_inputs
from envbuild.build.package_question import Question, sees_of
from envbuild.build.progress import Answer, NotKnownYet, StageProgress
from envbuild.lockfile.lock import LockedStage, LockedStep, LockOutOfDate, Package, first_line
from envbuild.packages.registry import manager_of, plain_name
from envbuild.plan.key import key_of
from envbuild.plan.step import InstallPackages, Step
from envbuild.store.store import Store
from envbuild.tree.entry import Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.packages.manager import Contents


class LockedAnswers:
    """What the locks of a build say that statements about packages mean."""

    def __init__(self, graph: Graph, store: Store, *, renew: frozenset[str], strict: bool) -> None:
        """They say nothing of statements that came to packages named in `renew`. If `strict`, what they do not say is
        an error."""
        self._store = store
        self._graph = graph
        self._renew = renew
        self._strict = strict

    def find(self, stage: StageProgress, number: int, question: Question, contents: Contents) -> Answer:
        """Return the packages that step `number` of a stage asks for. Raises NotKnownYet, and LockOutOfDate if
        strict."""
        answer = locked_answer(self._store, stage, number, question, contents)
        if answer is not None and self._renew.isdisjoint(plain_name(package.name) for package in answer.packages):
            return answer
        if self._strict:
            path = self._graph.recipe_of(stage.stage).lock_path
            text = first_line(stage.steps[number].text)
            raise LockOutOfDate(path, f"+ {text}  (it asks for more than the lock has)")
        raise NotKnownYet


def locked_answer(
    store: Store, stage: StageProgress, number: int, question: Question, contents: Contents
) -> Answer | None:
    """Return what the lock has for the package statement `number` of a stage, None if it does not answer.

    It answers the same question, on the same base, after statements that it answered too: then nothing that a package
    manager could look at is different. It does not answer where it sends us to an address that the statement does not
    name. Raises BadName for what no package of the manager has.
    """
    locked = stage.stage.locked
    if locked is None or locked.digest != stage.base.tree:
        return None
    before = package_steps(stage, number)
    if not all(n in stage.answers and stage.answers[n].from_lock for n in before):
        return None
    answers = [n for n, step in enumerate(locked.steps) if step.installs]
    if len(before) >= len(answers):
        return None
    action = stage.plan.steps[number].action
    assert isinstance(action, InstallPackages)
    manager = manager_of(action.manager)
    at = answers[len(before)]
    step, parent = locked.steps[at], locked.steps[at - 1].tree if at else locked.digest
    packages = tuple(manager.check(package) for package in step.packages)
    if step.asks != question.asks and not (
        step.asks == question.without_environment
        and _has_environment(locked, step, parent, stage.plan.steps[number], contents)
    ):
        return None
    # A later statement is asked about before the steps that lead to it are known.
    if number == stage.next_number and not _sees_the_same(store, stage.tree, parent, step, action):
        return None
    if not manager.trusts(action, contents, packages):
        return None
    return Answer(question.asks, packages, True, step.asks, step.sees)


def _has_environment(locked: LockedStage, step: LockedStep, parent: Digest, now: Step, contents: Contents) -> bool:
    """Return whether a locked step was made in the environment that the stage has now. Locks of before did not say so
    of a question, but the step's key does."""
    action = now.action
    assert isinstance(action, InstallPackages)
    if not (step.key and parent):
        return True  # of a merged lock: it follows from nothing that either side had another one
    if not step.packages and action.manager == "pip":
        return False  # pip was asked what the image's own Python has, and answered "nothing"
    digests = declared_inputs(action, contents, step.packages).digests
    return step.key in [key_of(now, parent, digests, locked.epoch, owners_kept=kept) for kept in (True, False)]


def _sees_the_same(store: Store, tree: Digest, parent: Digest, step: LockedStep, action: InstallPackages) -> bool:
    """Return whether a package manager sees in a tree what it saw in the one that a locked step started from."""
    if tree == parent:
        return True
    if not step.sees and not (parent and store.trees.has(parent)):
        return True  # nobody knows what it saw, in a lock of before or a merged one
    return sees_of(store, tree, action) == (step.sees or sees_of(store, parent, action))


def package_steps(stage: StageProgress, end: int) -> list[int]:
    """Return the numbers of the steps before `end` that install packages."""
    return [n for n, step in enumerate(stage.plan.steps[:end]) if isinstance(step.action, InstallPackages)]


def pins(stage: Stage, manager: str, renewed: frozenset[str]) -> tuple[Package, ...]:
    """Return the packages of a stage's lock that should keep their versions; not those named in `renewed`."""
    if stage.locked is None:
        return ()
    pinned = [
        package
        for step in stage.locked.steps
        if step.installs and step.manager == manager
        for package in step.packages
        if plain_name(package.name) not in renewed
    ]
    return tuple(manager_of(manager).check(package) for package in dict.fromkeys(pinned))
