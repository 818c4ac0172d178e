"""Stores of these tests are on a disk, as users' ones: other tests have theirs in memory."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import memory_folder


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with memory_folder.on_disk() as folder:
        yield folder
