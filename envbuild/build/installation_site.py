"""Where a statement of packages is installed, and what all commands of the installation read there."""

from __future__ import annotations

from collections.abc import Callable

from envbuild.build.execution import Execution
from envbuild.build.sandbox_actions import Executor
from envbuild.packages.manager import Task
from envbuild.plan.step import Step
from envbuild.record import Record
from envbuild.store.store import Store
from envbuild.trace.reads import ABSENT, Reads
from envbuild.tree.entry import Digest
from envbuild.tree.rebase import Touched


class InstallationTrace:
    """What the commands of one installation read of the tree that it began with.

    A later command runs on what earlier ones left. What it reads of that either follows from what these did, or is as
    it was in the first tree: so all reads together are those of the installation. `complete` is False if it went on
    from something that was kept, whose reads nobody knows.
    """

    def __init__(self) -> None:
        self.complete = True
        self._paths: dict[bytes, int] = {}
        self._untraceable = ""
        self._touched: list[Touched] = []

    def add(self, done: Execution) -> None:
        """Add what one command read."""
        if done.reads is None:
            self.complete = False
            return
        self._untraceable = self._untraceable or done.reads.untraceable
        for path, access in done.reads.paths.items():
            both = self._paths.get(path, 0) | access
            self._paths[path] = both if both == ABSENT else both & ~ABSENT
        self._touched.append(done.touched)

    @property
    def reads(self) -> Reads | None:
        """What was read; None where not all of it is known."""
        if not self.complete or not self._touched:
            return None
        return Reads(dict(sorted(self._paths.items())), self._untraceable)

    @property
    def touched(self) -> Touched:
        """What was done to the tree beside what changed."""
        parts = self._touched
        return Touched(
            tuple(dict.fromkeys(path for part in parts for path in part.unchanged)),
            tuple(dict.fromkeys(path for part in parts for path in part.entered)),
            tuple(dict.fromkeys(path for part in parts for path in part.stamped)),
            tuple(dict.fromkeys(path for part in parts for path in part.replaced)),
            clocked=False,
        )


class InstallationSite(Record):
    """A step on the tree of its stage; `near` are trees that it is likely to share directories with, `epoch` is the
    time that files get, and `owners_kept` whether commands can give files to other users. What is read is added to
    `trace`, if there is one."""

    store: Store
    executor: Executor
    step: Step
    tree: Digest
    near: tuple[Digest, ...]
    epoch: int
    owners_kept: bool
    trace: InstallationTrace | None = None

    def install(
        self,
        task: Task,
        tree: Digest,
        near: tuple[Digest, ...],
        sink: Callable[[bytes], None],
        *,
        keeps_times: bool = False,
    ) -> Execution:
        """Run one of the installation's commands (Executor.install)."""
        traced = self.trace is not None
        done = self.executor.install(
            self.step, task, tree, near, self.epoch, sink, keeps_times=keeps_times, traced=traced
        )
        if self.trace is not None:
            self.trace.add(done)
        return done

    def goes_on_from_kept(self) -> None:
        """Note that the installation takes something that an earlier one left."""
        if self.trace is not None:
            self.trace.complete = False
