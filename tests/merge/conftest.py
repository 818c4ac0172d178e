"""The three sides of a merge."""

from __future__ import annotations

import pytest

from tests.conftest import Project
from tests.merge.sides import Sides


@pytest.fixture
def sides(project: Project) -> Sides:
    return Sides(project)
