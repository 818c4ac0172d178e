"""One more package for npm: what is locked stays, the registry is asked for what is new, and the result is the same."""

import pytest

from tests.conftest import installs_of
from tests.packages.conftest import DEBIAN
from tests.packages.npm_registry import Registry

pytestmark = [pytest.mark.namespaces, pytest.mark.mirror, pytest.mark.slow]
NODE = (DEBIAN, "apt nodejs")


@pytest.fixture
def registry(server) -> Registry:
    registry = Registry(server)
    registry.add_npm("v18.19.0")
    return registry


def versions(project) -> dict[str, str]:
    install = installs_of(project.folder / "web.env.lock")[-1]
    return {package["name"]: package["version"] for package in install["packages"]}


def test_what_is_locked_stays_and_only_what_is_new_is_asked_for(debian, server, registry):
    settings = {"npm_config_registry": server.address}
    registry.add("own-pad", "1.0.0")
    registry.add("own-deep", "1.0.0", {"own-pad": "^1.0.0"})
    registry.add("own-wide", "1.0.0")
    assert debian.build(*NODE, name="low.env").code == 0
    done = debian.build("from image:low", "npm(into=/srv/app) own-deep own-wide", **settings)
    assert done.code == 0, done.out
    for name in ("own-pad", "own-deep", "own-wide"):
        registry.add(name, "1.1.0")
    registry.add("own-box", "1.0.0", {"own-pad": "^1.0.0"})
    server.asked.clear()
    done = debian.build("from image:low", "npm(into=/srv/app) own-box own-deep own-wide", **settings)
    assert done.code == 0, done.out
    print(server.asked)
    assert versions(debian) == {"own-box": "1.0.0", "own-deep": "1.0.0", "own-pad": "1.0.0", "own-wide": "1.0.0"}
