"""What statements about packages mean as the lock has it: when it answers, and which versions it holds otherwise."""

from __future__ import annotations

from envbuild.build.graph import Stage
from envbuild.build.inputs import declared_inputs
from envbuild.build.package_question import Question, answer_digest, earlier_sees_of, sight_of
from envbuild.build.progress import Answer, NotKnownYet, StageProgress
from envbuild.lockfile.lock import Earlier, LockedInstall, Package
from envbuild.lockfile.results import Results, Sight
from envbuild.packages.manager import INSTALLED
from envbuild.packages.plain_names import plain_name
from envbuild.packages.registry import manager_of
from envbuild.plan.key import key_of
from envbuild.plan.step import InstallPackages, Step
from envbuild.store.objects import TooLargeToRead
from envbuild.store.store import Store
from envbuild.tree.entry import Digest
from envbuild.tree.lookup import LinkCircle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.packages.manager import Contents


def locked_answer(
    store: Store,
    stage: StageProgress,
    number: int,
    question: Question,
    contents: Contents,
    results: Results,
    *,
    strict: bool,
) -> Answer | None:
    """Return what the lock has for the package statement `number` of a stage, None if it does not answer.

    It answers the same question, on the same base, after statements that it answered too, if the package manager sees
    the same settings and the same packages. Where git merged answers, nobody has seen these on one tree: what each
    branch pinned holds then. If `strict`, it holds whatever is installed already, as no package may move. What it
    leaves as it is must be there in its version. It does not answer where it sends us to an address that the statement
    does not name. Raises BadName for what no package of the manager has, and NotKnownYet where the tree would have to
    be looked at and is only in a shared cache yet.
    """
    locked = stage.stage.locked
    if locked is None or (not locked.follows and locked.digest != stage.base.tree):
        return None
    before = package_steps(stage, number)
    if not all(n in stage.answers and stage.answers[n].from_lock for n in before):
        return None
    if len(before) >= len(locked.installs):
        return None
    step = stage.plan.steps[number]
    action = step.action
    assert isinstance(action, InstallPackages)
    install = locked.installs[len(before)]
    manager = manager_of(action.manager)
    packages = tuple(manager.check(package) for package in install.packages)
    if not _asks_the_same(install, question, stage, step, contents):
        return None
    # A later statement is asked about before the steps that lead to it are known.
    sight = None
    if number == stage.next_number:
        seen = results.seen.get(answer_digest(question, packages), ())
        after = stage.after(number)
        if _is_on_record(results, stage, step, contents, packages):
            sight = next((known for known in seen if known.after == after), None)
        elif install.earlier is not None and not _sees_the_same(store, stage, install.earlier, action):
            return None
        if sight is None and store.trees.elsewhere is not None and not store.trees.has(stage.tree):
            raise NotKnownYet  # what the package manager sees there is known when the tree is here
        if sight is None and store.trees.has(stage.tree):
            sight = sight_of(store, stage.tree, action, after)
            if seen and not _is_seen(sight, seen, strict=strict):
                return None
            if sight not in seen and not _has_what_stays(store, stage.tree, packages):
                return None
    if not manager.trusts(action, contents, packages):
        return None
    return Answer(question, packages, True, sight)


def _asks_the_same(
    install: LockedInstall, question: Question, stage: StageProgress, step: Step, contents: Contents
) -> bool:
    earlier = install.earlier
    if earlier is None:
        said = install.manager, install.asks, install.wants, install.sources
        return said == (question.manager, question.asks, question.wants, question.sources)
    if earlier.asks == question.whole:
        return True
    return earlier.asks == question.without_environment and _has_environment(install, earlier, step, contents)


def _has_environment(install: LockedInstall, earlier: Earlier, now: Step, contents: Contents) -> bool:
    """Return whether a locked step was made in the environment that the stage has now. Locks of before did not say so
    of a question, but the step's key does."""
    action = now.action
    assert isinstance(action, InstallPackages)
    if not (earlier.key and earlier.parent):
        return True  # of a merged lock: it follows from nothing that either side had another one
    if not install.packages and action.manager == "pip":
        return False  # pip was asked what the image's own Python has, and answered "nothing"
    digests = declared_inputs(action, contents, install.packages).digests
    keys = [key_of(now, earlier.parent, digests, earlier.epoch, owners_kept=kept) for kept in (True, False)]
    return earlier.key in keys


def _is_on_record(
    results: Results, stage: StageProgress, step: Step, contents: Contents, packages: tuple[Package, ...]
) -> bool:
    """Return whether the lock has a result of just these packages on just this tree: its package manager saw that."""
    action = step.action
    assert isinstance(action, InstallPackages)
    digests = declared_inputs(action, contents, packages).digests
    keys = (key_of(step, stage.tree, digests, stage.facts.epoch, owners_kept=kept) for kept in (True, False))
    return any(key in results.steps for key in keys)


def _is_seen(now: Sight, seen: tuple[Sight, ...], *, strict: bool) -> bool:
    """Return whether the lock's answer holds for what a package manager sees now."""
    alike = [sight for sight in seen if sight.settings == now.settings]
    after = [sight for sight in alike if sight.after == now.after]
    return bool(alike) and (strict or not after or now in after)


def _has_what_stays(store: Store, tree: Digest, packages: tuple[Package, ...]) -> bool:
    """Return whether a tree has the packages that a statement asks for and leaves as they are."""
    stays = {(package.name, package.version) for package in packages if package.origin.startswith(INSTALLED)}
    if not stays:
        return True
    from envbuild.packages.inventory.bad_record import MAX_STATUS  # only where results are missing
    from envbuild.packages.inventory.dpkg import STATUS, has_debian_packages

    try:
        return has_debian_packages(store.read_text(tree, STATUS, MAX_STATUS) or "", stays)
    except (TooLargeToRead, LinkCircle):
        return False


def _sees_the_same(store: Store, stage: StageProgress, earlier: Earlier, action: InstallPackages) -> bool:
    """Return whether a package manager sees in a tree what it saw in the one that a step of a lock of version 2 started
    from."""
    tree, parent = stage.tree, earlier.parent
    if tree == parent:
        return True
    if not earlier.sees and not (parent and store.trees.has(parent)):
        return True  # nobody knows what it saw, in a lock of before or a merged one
    return earlier_sees_of(store, tree, action) == (earlier.sees or earlier_sees_of(store, parent, action))


def package_steps(stage: StageProgress, end: int) -> list[int]:
    """Return the numbers of the steps before `end` that install packages."""
    return [n for n, step in enumerate(stage.plan.steps[:end]) if isinstance(step.action, InstallPackages)]


def pins(stage: Stage, manager: str, renewed: frozenset[str]) -> tuple[Package, ...]:
    """Return the packages of a stage's lock that should keep their versions; not those named in `renewed`."""
    if stage.locked is None:
        return ()
    pinned = [
        package
        for install in stage.locked.installs
        if install.manager == manager
        for package in install.packages
        if plain_name(package.name) not in renewed
    ]
    return tuple(manager_of(manager).check(package) for package in dict.fromkeys(pinned))


def before(stage: StageProgress, number: int, manager: str) -> tuple[tuple[Package, ...], tuple[str, ...]]:
    """Return what the lock has for the statement that stood in the place of the package statement `number`, if that was
    one of the same package manager, and the words that it wanted; nothing else."""
    locked, earlier = stage.stage.locked, package_steps(stage, number)
    if locked is None or len(earlier) >= len(locked.installs):
        return (), ()
    install = locked.installs[len(earlier)]
    if install.manager != manager:
        return (), ()
    return tuple(manager_of(manager).check(package) for package in install.packages), install.wants


def extended(
    stage: StageProgress, number: int, question: Question, sight: Sight, results: Results
) -> tuple[Package, ...]:
    """Return what the lock has for the package statement `number` if that asks for more words now, and for the same
    otherwise, of a package manager that sees the same; nothing else."""
    locked, earlier = stage.stage.locked, package_steps(stage, number)
    if locked is None or len(earlier) >= len(locked.installs):
        return ()
    install = locked.installs[len(earlier)]
    fewer = question.replace(wants=install.wants)
    said = install.manager, install.asks, install.sources
    if said != (question.manager, question.asks, question.sources) or not set(install.wants) < set(question.wants):
        return ()
    manager = manager_of(install.manager)
    packages = tuple(manager.check(package) for package in install.packages)
    return packages if sight in results.seen.get(answer_digest(fewer, packages), ()) else ()
