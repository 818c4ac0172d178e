"""Commands of envbuild with lower bounds: functions for `Project.call`, with the words in sys.argv."""

from __future__ import annotations

import sys

from envbuild.build import adopted_tree, sandbox_actions
from envbuild.cli.main import run
from envbuild.compose.file import yaml_nodes

COPIED = 3_000


def few_copied() -> int:
    """No folder of more than COPIED files is copied from another stage."""
    adopted_tree.MAX_COPIED = COPIED
    return run(sys.argv[1:])


def few_values() -> int:
    """No file of services has more than a thousand values."""
    yaml_nodes._Loader.max_nodes = 1_000
    return run(sys.argv[1:])


def little_time_to_read() -> int:
    """What a step left is read no longer than the step may take."""
    sandbox_actions.MIN_READING_SECONDS = 0
    return run(sys.argv[1:])
