"""A root directory that tests fill, and what the collectors say of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from envbuild.capture.machine_root import MachineRoot
from envbuild.capture.state.collector import Collected, Machine, collect


class Files:
    """A root to be filled: `write` a file, `link` a link, then ask for the `rows` of a kind of state."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folders: tuple[bytes, ...] = ()

    def write(self, path: str, text: str = "") -> None:
        file = self.path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.fsencode(text))

    def link(self, path: str, target: str) -> None:
        link = self.path / path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)

    def collected(self) -> Collected:
        with MachineRoot(str(self.path)) as root:
            return collect(Machine(root, self.folders))

    def lines(self, name: str) -> list[str]:
        collected = self.collected()
        assert collected.failed == ()
        return collected.state.get(name, "").splitlines()


@pytest.fixture
def files(tmp_path: Path) -> Files:
    (tmp_path / "root").mkdir()
    return Files(tmp_path / "root")
