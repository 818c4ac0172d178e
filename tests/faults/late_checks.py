"""Runs a command of envbuild that begins a program before all layers of its image are checked, as in a large image.

`main` finds in sys.argv how many files an image has to have for that, then the words of the command.
"""

from __future__ import annotations

import sys

from envbuild.cli.main import run
from envbuild.store import store
from envbuild.store.layer_walk import LayerWalk


def main() -> int:
    _, many, *words = sys.argv
    store.MANY_FILES = int(many)
    LayerWalk.is_over = lambda self: False
    return run(words)
