"""Stores of these tests are on a disk, as users' ones are that lose power."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import memory_folder
from tests.conftest import Project
from tests.made_once import MadeOnce
from tests.store.conftest import tmp_path

__all__ = ["tmp_path"]


@pytest.fixture(scope="module")
def made_once() -> Iterator[MadeOnce]:
    with memory_folder.on_disk() as folder:
        yield MadeOnce(folder)


@pytest.fixture(scope="module")
def shared_project(busybox: Path) -> Iterator[Project]:
    """A project for what the tests of a module compare theirs to."""
    with memory_folder.on_disk() as folder:
        (folder / "project").mkdir()
        shutil.copy(busybox, folder / "project")
        yield Project(folder / "project", folder / "store")
