"""Where a statement of packages is installed."""

from __future__ import annotations

from envbuild.build.sandbox_actions import Executor
from envbuild.plan.step import Step
from envbuild.record import Record
from envbuild.store.store import Store
from envbuild.tree.entry import Digest


class InstallationSite(Record):
    """A step on the tree of its stage; `near` are trees that it is likely to share directories with, `epoch` is the
    time that files get, and `owners_kept` whether commands can give files to other users."""

    store: Store
    executor: Executor
    step: Step
    tree: Digest
    near: tuple[Digest, ...]
    epoch: int
    owners_kept: bool
