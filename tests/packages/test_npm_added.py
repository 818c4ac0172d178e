"""One more package for npm: what is locked stays, the registry is asked for what is new, and the result is the same."""

import json

import pytest

from tests.conftest import installs_of
from tests.packages.npm_registry import Registry

pytestmark = [pytest.mark.namespaces, pytest.mark.mirror, pytest.mark.slow, pytest.mark.usefixtures("npm")]


@pytest.fixture
def registry(server) -> Registry:
    return Registry(server)


def versions(project) -> dict[str, str]:
    install = installs_of(project.folder / "web.env.lock")[-1]
    return {package["name"]: package["version"] for package in install["packages"]}


def build(project, server, *words: str, options: tuple[str, ...] = ()) -> str:
    """Build with what is asked for; return the image."""
    statement = f"npm(into=/srv/app) {' '.join(words)}"
    done = project.build("from image:npm", statement, options=options, npm_config_registry=server.address)
    assert done.code == 0, done.out
    build.printed = done.printed
    return done.image


@pytest.fixture
def image(debian, server, registry) -> str:
    """The image with one package more than the one before, when newer versions were there of all."""
    registry.add("own-pad", "1.0.0")
    registry.add("own-deep", "1.0.0", {"own-pad": "^1.0.0"})
    registry.add("own-wide", "1.0.0")
    build(debian, server, "own-deep", "own-wide")
    for name in ("own-pad", "own-deep", "own-wide"):
        registry.add(name, "1.1.0")
    registry.add("own-box", "1.0.0", {"own-pad": "^1.0.0"})
    server.asked.clear()
    return build(debian, server, "own-box", "own-deep", "own-wide")


def test_what_is_locked_stays_and_only_what_is_new_is_asked_for(debian, server, image):
    assert {path for path, _ in server.asked} <= {"/own-box", "/own-box/-/own-box-1.0.0.tgz"}
    assert versions(debian) == {"own-box": "1.0.0", "own-deep": "1.0.0", "own-pad": "1.0.0", "own-wide": "1.0.0"}
    assert "3 of 4 packages as unpacked before" in build.printed
    assert build(debian, server, "own-box", "own-deep", "own-wide", options=("--no-cache",)) == image
    assert "unpacked before" not in build.printed


@pytest.mark.nightly  # the builds of the test above once more
def test_what_has_to_move_moves_and_nothing_else(debian, server, registry, image):
    registry.add("own-new", "1.0.0", {"own-pad": "^1.1.0"})
    build(debian, server, "own-box", "own-deep", "own-new", "own-wide")
    assert {name: version for name, version in versions(debian).items() if version != "1.0.0"} == {"own-pad": "1.1.0"}


@pytest.mark.nightly  # four builds of packages of the registry
@pytest.mark.usefixtures("node")
def test_scripts_bundles_platforms_and_peers_come_to_the_same_joined_and_unpacked(debian):
    manifest = {
        "name": "app",
        "version": "1.0.0",
        "dependencies": {"esbuild": "^0.21.0", "npm": "10.8.2", "@babel/core": "^7.20.0"},
        "devDependencies": {"eslint": "^8.50.0", "eslint-plugin-import": "^2.29.0"},
    }
    debian.write("app/package.json", json.dumps(manifest))
    debian.write("code/index.js", "console.log(1)")
    recipe = (
        "from image:node",
        "copy code/ -> /srv/app/",
        "npm(into=/srv/app, scripts) -r app",
        "npm(into=/srv/app) is-odd",
    )
    done = debian.build(*recipe, "run /srv/app/node_modules/.bin/esbuild --version")
    assert done.code == 0, done.out
    again = debian.build(options=("--no-cache",))
    assert (again.code, again.image) == (0, done.image)
