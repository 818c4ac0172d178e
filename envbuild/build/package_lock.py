"""Declared packages in a build: when the lock answers what a statement means, and what is asked otherwise."""

from __future__ import annotations

from envbuild.build.declared_files import Contents
from envbuild.build.stage import Answer, StageRun
from envbuild.digest import sha256_of
from envbuild.lockfile import lock as locks
from envbuild.lockfile.lock import LockedStep, LockOutOfDate, Package
from envbuild.plan.step import InstallPackages, Step
from envbuild.text import json

FORMAT = "envbuild packages 1"


def asks_of(action: InstallPackages, contents: Contents) -> str:
    """The digest of what a statement asks for; `contents` are its files.

    Where it is installed and with which environment decides nothing about which packages are meant.
    """
    options = [list(pair) for pair in action.options if pair[0] != "into"]
    files = [[path, sha256_of(content)] for path, content in contents]
    form = [FORMAT, action.manager, list(action.wanted), list(map(list, action.files)), files, options]
    return sha256_of(json.dumps(form, separators=(",", ":")).encode("utf-8", "surrogateescape"))


def locked_answer(run: StageRun, number: int, asks: str, contents: Contents) -> Answer | None:
    """What the lock has for the package statement `number` of a stage (from 0, among its steps), None if it does not
    answer.

    It answers what it was asked in the same words, on the same base, after statements that it answered too: then
    nothing that a package manager could look at is different. It does not answer where it sends us to an address that
    the statement does not name. Raises BadName for what no package of the manager has.
    """
    locked = run.locked
    if locked is None or run.base is None or locked.digest != run.base.tree:
        return None
    before = [step for step in run.plan.steps[:number] if isinstance(step.action, InstallPackages)]
    if any(not run.from_lock.get(id(step), False) for step in before):
        return None
    answers = [step for step in locked.steps if step.installs]
    if len(before) >= len(answers) or answers[len(before)].asks != asks:
        return None
    from envbuild.packages.names import checked  # only where a recipe has such statements

    action = run.plan.steps[number].action
    assert isinstance(action, InstallPackages)
    packages = tuple(checked(action.manager, package) for package in answers[len(before)].packages)
    if action.manager == "pip":
        from envbuild.packages.direct_references import asks_again

        if asks_again(action, contents, packages):
            return None
    return Answer(asks, packages)


def pins(run: StageRun, manager: str, renewed: frozenset[str]) -> tuple[Package, ...]:
    """The packages of a stage's lock that should keep their versions; not those whose names are in `renewed`."""
    if run.locked is None:
        return ()
    found = [
        package
        for step in run.locked.steps
        if step.installs and manager_of(step) == manager
        for package in step.packages
        if plain_name(package.name) not in renewed
    ]
    from envbuild.packages.names import checked

    return tuple(checked(manager, package) for package in dict.fromkeys(found))


def manager_of(step: LockedStep) -> str:
    """The package manager of a locked step: the word that its statement begins with."""
    return step.text.split()[0].partition("(")[0]


def plain_name(name: str) -> str:
    """A package's name as a user gives it: without an architecture, and without the folders of npm."""
    return name.rpartition("node_modules/")[2].partition(":")[0]


def refuse_more(run: StageRun, step: Step, path: str) -> LockOutOfDate:
    """The error for a statement that a lock does not answer and that may not be resolved."""
    return LockOutOfDate(path, f"+ {locks.first_line(step.text)}  (it asks for more than the lock has)")
