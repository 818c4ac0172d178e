"""The base `scratch`: a root directory and nothing in it."""

from __future__ import annotations

from envbuild.tree.entry import DIRECTORY, ROOT_NAME, Entry
from envbuild.tree.target import PreparedBase, TreeTarget

EPOCH = 315_532_800
"""1980-01-01, the first day that every archive format can write."""


class Scratch:
    """Nothing at all."""

    identity = "nothing"
    epoch = EPOCH
    notes: tuple[str, ...] = ()

    def write(self, target: TreeTarget) -> None:
        target.add(b"", Entry(ROOT_NAME, DIRECTORY, 0o755, 0, 0, EPOCH * 1_000_000_000))

    def close(self) -> None:
        pass


def prepare_scratch() -> PreparedBase:
    """Return the base, which takes no preparing."""
    return Scratch()
