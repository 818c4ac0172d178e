from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Project
from tests.made_once import MadeOnce
from tests.registry.certificates import Authority
from tests.registry.debian_registry import DebianRegistry
from tests.registry.hostile import Registry

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
def user(project: Project) -> Project:
    """A project of somebody who is logged in nowhere."""
    for name in ("XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "http_proxy"):
        project.environment.pop(name, None)
    return project


def web(project: Project) -> None:
    """Makes an image, and its layers, which would be compressed once for each test."""
    project.write("app/main", "one")
    done = project.build(*RECIPE)
    assert done.code == 0, done.out + done.err
    assert project.command("export", "web", "-o", "web.tar").code == 0
    (project.folder / "web.tar").unlink()


@pytest.fixture
def built(user: Project, made_once: MadeOnce, tmp_path: Path) -> Iterator[Project]:
    """The same with an image."""
    with made_once.again(user, web, tmp_path / "made"):
        yield user


@pytest.fixture
def elsewhere(built: Project, tmp_path: Path) -> Project:
    """Another machine: the same folder and user, and an empty store."""
    there = Project(built.folder, tmp_path / "other-store")
    there.environment = {**built.environment, "ENVBUILD_STORE": str(tmp_path / "other-store")}
    return there


@pytest.fixture
def machine(user: Project, tmp_path: Path) -> Callable[[], Project]:
    """Makes machines: each with the same folder, and an empty store."""
    user.write("app/main", "hello")
    # Machines of tests are busy, and a registry on them may take longer than somebody would wait for it.
    user.write(".config/envbuild/cache.toml", "patience = 60")
    made: list[Project] = []

    def make() -> Project:
        store = tmp_path / f"store-{len(made)}"
        made.append(Project(user.folder, store))
        made[-1].environment = {**user.environment, "ENVBUILD_STORE": str(store)}
        return made[-1]

    return make


@pytest.fixture
def server() -> Iterator[Callable[..., Registry]]:
    """Starts registries that do what they are told to."""
    started: list[Registry] = []

    def start(**settings: Any) -> Registry:
        started.append(Registry(**settings))
        return started[-1]

    yield start
    for registry in started:
        registry.close()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


@pytest.fixture
def trusted(authority: Authority, project: Project) -> Callable[[str], None]:
    """Has the user trust the authority for a registry."""

    def trust(host: str) -> None:
        folder = project.folder / ".config/containers/certs.d" / host
        folder.mkdir(parents=True)
        (folder / "ca.crt").write_bytes(authority.path.read_bytes())

    return trust
