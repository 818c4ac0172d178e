"""The helper of a build's sandboxes, started as soon as it is known that something runs: it makes the first sandbox
while the modules that say what to run in it are loaded. So this module imports no more than that takes.
"""

from __future__ import annotations

from envbuild.contexts import contextmanager
from envbuild.errors import MachineLacks
from envbuild.plan.step import Execute, InstallPackages
from envbuild.record import Record
from envbuild.sandbox.helper_client import Helper
from envbuild.sandbox.user_namespace import IdMap, enter_user_namespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from envbuild.build.job import BuildJob
    from envbuild.store.store import Store
    from envbuild.tree.entry import Digest


class StartedHelper(Record):
    """The helper, and the ids of the user namespace that it and this process are in."""

    ids: IdMap
    helper: Helper


def start_helper(store: Store, ahead: Digest | None) -> StartedHelper:
    """Enter the user namespace and start the helper; meanwhile the layers of the tree `ahead`, which is about to be
    mounted, are checked. The process has one thread.

    Raises MachineLacks kinds where the kernel or its settings refuse.
    """
    ids = enter_user_namespace()
    store.owners_observable = ids.kind != "single"
    if ahead is not None:
        store.stacks.check_ahead(ahead)
    return StartedHelper(ids, Helper.start(ids, steps=True))


def next_tree(job: BuildJob) -> Digest | None:
    """Return the tree that the first command is likely to run on."""
    for stage in job.graph.stages:
        at = None if job.progress.has_ended(stage) else job.progress.get(stage)
        step = at.next_step if at is not None else None
        if at is not None and step is not None and isinstance(step.action, (Execute, InstallPackages)):
            return at.tree if job.store.trees.has(at.tree) else None
    return None


@contextmanager
def helper_ahead(job: BuildJob) -> Iterator[StartedHelper | None]:
    """Start the helper of a build in which steps are left and no bases: those are prepared outside of the namespace.
    It is None where the machine refuses, too, so that what is wrong with the recipe is told first."""
    if job.request.dry_run or any(job.progress.get(stage) is None for stage in job.graph.stages):
        yield None
        return
    try:
        started = start_helper(job.store, next_tree(job))
    except MachineLacks:
        yield None
        return
    with started.helper:
        yield started
