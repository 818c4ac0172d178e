"""An image to run, and the end of all that ran."""

from __future__ import annotations

import pytest

from tests.instances.instances import with_image


@pytest.fixture
def image(project, made_once, tmp_path):
    with with_image(project, made_once, tmp_path):
        yield project
