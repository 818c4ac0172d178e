"""What one phase of a package manager needs to be run in a sandbox."""

from __future__ import annotations

from envbuild.linux.nofollow import Component
from envbuild.record import Pairs, Record

FOLDER = "/run/envbuild"
"""Where a task's files are mounted, in the sandbox alone."""
OUT = f"{FOLDER}/out"
"""Where a task that resolves leaves its answer: a folder that outlives the sandbox."""
PACKAGES = f"{FOLDER}/packages"
"""Where an installation finds the files of its packages."""


class Task(Record):
    """A command, run as root of the tree. All that it is given is mounted read-only: `files` are (target, content),
    of which `executable` may be run, and `packages` are (name in the folder PACKAGES, host path)."""

    argv: tuple[str, ...]
    environment: Pairs = ()
    files: tuple[tuple[str, bytes], ...] = ()
    packages: tuple[tuple[Component, str], ...] = ()
    executable: tuple[str, ...] = ()
