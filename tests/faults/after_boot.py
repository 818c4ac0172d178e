"""A command of envbuild after the machine has started again, as it sees the store then."""

from __future__ import annotations

import json
import os
import sys

from envbuild.cli.main import run
from envbuild.linux import boot
from envbuild.store import stacks
from envbuild.store.objects import Objects


def main() -> int:
    """After the start the files look as old as they were ($CHANGED), and not as new as the test's copies of them."""
    changed = json.loads(os.environ["CHANGED"])
    check_layer = stacks.check_layer

    def changed_since(self: Objects, nanoseconds: int) -> list[str]:
        store = os.path.dirname(self.path)
        paths = [f"{store}/{path}" for path, when in changed.items() if when > nanoseconds]
        return [path for path in paths if os.path.exists(path)]

    boot.boot_id = lambda: "boot 2"
    stacks.check_layer = lambda *words, since, owners: check_layer(*words, since=since and 1 << 62, owners=owners)
    Objects.changed_since = changed_since
    return run(sys.argv[1:])
