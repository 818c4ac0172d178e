"""What statements about packages mean as the lock has it: when it answers, and which versions it holds otherwise."""

from __future__ import annotations

from envbuild.build.graph import Graph, Stage
from envbuild.build.progress import Answer, NotKnownYet, StageProgress
from envbuild.digest import sha256_of
from envbuild.lockfile.lock import LockOutOfDate, Package, first_line
from envbuild.packages.registry import manager_of, plain_name
from envbuild.plan.step import InstallPackages
from envbuild.text import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.packages.manager import Contents

FORMAT = "envbuild packages 1"


def asks_of(action: InstallPackages, contents: Contents) -> str:
    """Return the digest of what a statement asks for; `contents` are its files.

    Where it is installed and with which environment decides nothing about which packages are meant.
    """
    options = [list(pair) for pair in action.options if pair[0] != "into"]
    files = [[path, sha256_of(content)] for path, content in contents]
    form = [FORMAT, action.manager, list(action.wanted), list(map(list, action.files)), files, options]
    return sha256_of(json.dumps(form, separators=(",", ":")).encode("utf-8", "surrogateescape"))


class LockedAnswers:
    """What the locks of a build say that statements about packages mean."""

    def __init__(self, graph: Graph, *, renew: bool, strict: bool) -> None:
        """With `renew` they say nothing. If `strict`, what they do not say is an error."""
        self._graph = graph
        self._renew = renew
        self._strict = strict

    def find(self, stage: StageProgress, number: int, asks: str, contents: Contents) -> Answer:
        """Return the packages that step `number` of a stage asks for. Raises NotKnownYet, and LockOutOfDate if
        strict."""
        answer = None if self._renew else locked_answer(stage, number, asks, contents)
        if answer is not None:
            return answer
        if self._strict:
            path = self._graph.recipe_of(stage.stage).lock_path
            text = first_line(stage.steps[number].text)
            raise LockOutOfDate(path, f"+ {text}  (it asks for more than the lock has)")
        raise NotKnownYet


def locked_answer(stage: StageProgress, number: int, asks: str, contents: Contents) -> Answer | None:
    """Return what the lock has for the package statement `number` of a stage, None if it does not answer.

    It answers what it was asked in the same words, on the same base, after statements that it answered too: then
    nothing that a package manager could look at is different. It does not answer where it sends us to an address that
    the statement does not name. Raises BadName for what no package of the manager has.
    """
    locked = stage.stage.locked
    if locked is None or locked.digest != stage.base.tree:
        return None
    before = [n for n, step in enumerate(stage.plan.steps[:number]) if isinstance(step.action, InstallPackages)]
    if not all(n in stage.answers and stage.answers[n].from_lock for n in before):
        return None
    answers = [step for step in locked.steps if step.installs]
    if len(before) >= len(answers) or answers[len(before)].asks != asks:
        return None
    action = stage.plan.steps[number].action
    assert isinstance(action, InstallPackages)
    manager = manager_of(action.manager)
    packages = tuple(manager.check(package) for package in answers[len(before)].packages)
    return Answer(asks, packages, from_lock=True) if manager.trusts(action, contents, packages) else None


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
