"""The files of an instance as they are now, as a tree: what differs from its image was changed since it started."""

from __future__ import annotations

import os
import subprocess
import time

from envbuild.errors import WorkFailed
from envbuild.store.instances import Instance
from envbuild.store.store import Store
from envbuild.tree.entry import Digest


def tree_of(store: Store, instance: Instance) -> Digest:
    """The tree that the instance has now, kept in the store. It may go on writing meanwhile: each file is as it was
    found. The process has to be root of the namespace. Raises WorkFailed."""
    store.share()
    if not store.trees.has(instance.tree):
        raise WorkFailed(f"the image of {instance.name} is no longer in the store", "build it again")
    epoch = int(time.time())
    with store.work.workspace() as space:
        os.rmdir(space.upper)
        # A snapshot takes what it reads; the instance keeps its own. Where the file system can, nothing is copied.
        words = ["cp", "--archive", "--reflink=auto", f"{instance.path}/upper", space.upper]
        done = subprocess.run(words, capture_output=True, text=True, errors="replace", check=False)
        if done.returncode:
            raise WorkFailed(f"the files of {instance.name} can't be read: {done.stderr.strip()[-300:]}")
        return store.snapshot(space, instance.tree, epoch=epoch).tree
