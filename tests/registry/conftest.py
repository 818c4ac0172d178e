from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Project
from tests.registry.debian_registry import DebianRegistry

RECIPE = (
    "env A=1",
    "run mkdir -p /opt && echo 1 > /opt/x",
    "copy app/ -> /srv/app/",
    'start ["/bin/sh", "-c", "cat /srv/app/main"]',
)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Callable[..., DebianRegistry]]:
    """Starts registries."""
    started: list[DebianRegistry] = []

    def start(**settings: Any) -> DebianRegistry:
        started.append(DebianRegistry(tmp_path / f"registry-{len(started)}", **settings))
        return started[-1]

    yield start
    for server in started:
        server.close()


@pytest.fixture
def built(project: Project) -> Project:
    """A project with an image, and nobody who is logged in anywhere."""
    for name in ("XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE"):
        project.environment.pop(name, None)
    project.write("app/main", "one")
    done = project.build(*RECIPE)
    assert done.code == 0, done.out + done.err
    return project


@pytest.fixture
def elsewhere(built: Project, tmp_path: Path) -> Project:
    """Another machine: the same folder and user, and an empty store."""
    there = Project(built.folder, tmp_path / "other-store")
    there.environment = {**built.environment, "ENVBUILD_STORE": str(tmp_path / "other-store")}
    return there
