"""An image to run, and the end of all that ran."""

from __future__ import annotations

import pytest

from tests.instances.instances import with_image


@pytest.fixture
def image(project):
    yield from with_image(project)
