"""Making checkouts in the background, in a separate process, so that no start waits for one.

The first instance of an image whose files can't be written has it made, and runs on overlayfs itself; all that are
started after find it.
"""

from __future__ import annotations

import os
import sys

from envbuild.errors import EnvbuildError
from envbuild.linux import syscalls
from envbuild.linux.forked import run_detached
from envbuild.store.store import Store
from envbuild.tree.entry import Digest

NICENESS = 10
"""The commands that are run meanwhile go first."""
_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from envbuild.instances.checkout_worker import main; main(*sys.argv[2:])"
)
_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class _MadeByAnother(Exception):
    """Another process is making this checkout."""


def fold_behind(store: Store, tree: Digest) -> None:
    """Have a checkout of `tree` made (stacks.py) while this process goes on, if nobody else does so.

    This process uses the store, and is root of its user namespace; the other one uses the store as long as it lives.
    What that has begun when it is killed is removed by a later command.
    """
    owners = "owners" if store.owners_observable else ""
    run_detached(lambda: _become(store.path, tree, owners))


def _become(*words: str) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for target in (0, 1, 2):
        os.dup2(nothing, target)
    # The locks and pipes of who started this are not to be held by it.
    syscalls.close_range(3, on_exec=False)
    os.chdir("/")
    os.nice(NICENESS)
    # Another program: SQLite's connections must not be there on both sides of a fork.
    os.execv(sys.executable, [sys.executable, "-P", "-c", _PROGRAM, _ROOT, *words])


def main(path: str, tree: Digest, owners: str) -> None:
    """Run the other process."""
    try:
        with Store.open(path, create=False, writable=True) as store:
            store.share()
            store.owners_observable = bool(owners)
            with store.work.exclusive(f"fold-{tree}", _give_way):
                store.stacks.fold(tree)
    except (_MadeByAnother, EnvbuildError, OSError):
        pass  # instances run without a checkout, too


def _give_way() -> None:
    raise _MadeByAnother
