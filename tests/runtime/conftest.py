"""An image to run, and the end of all that ran."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def image(project):
    """A project with an image; whatever runs in the end is ended."""
    assert project.build("run echo in the image > /file", "env GREETING=hello").code == 0
    yield project
    for one in json.loads(project.command("ps", "--all", "--format", "json").out):
        project.command("rm", "--force", one["id"])
