"""Stores of these tests are on a disk, as users' ones are that lose power."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import memory_folder
from tests.conftest import Project
from tests.store.conftest import tmp_path

__all__ = ["tmp_path"]


@pytest.fixture(scope="module")
def made_once(busybox: Path) -> Iterator[Project]:
    """A project for what the tests of a module begin with or compare theirs to: they copy it and leave it as it is."""
    with memory_folder.on_disk() as folder:
        (folder / "project").mkdir()
        shutil.copy(busybox, folder / "project")
        yield Project(folder / "project", folder / "store")
