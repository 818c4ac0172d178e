"""`envbuild remote diff`: what differs between two images of registries, with no layer fetched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Project
from tests.registry.hostile import Registry
from tests.sharing.images import digest, layer

pytestmark = pytest.mark.namespaces


@pytest.fixture
def two(built: Project, registry) -> tuple[Project, str, str]:
    server = registry()
    names = [f"{server.host}/shop/web:{number}" for number in (1, 2)]
    assert built.command("push", "web", names[0]).code == 0
    built.write("app/main", "two")
    built.write("app/more", "more")
    assert built.build("env A=2", "run mkdir -p /opt && echo 1 > /opt/x", "copy app/ -> /srv/app/").code == 0
    assert built.command("push", "web", names[1]).code == 0
    return built, names[0], names[1]


def test_it_says_what_diff_says_and_fetches_no_layer(two, tmp_path: Path):
    built, old, new = two
    there = Project(built.folder, tmp_path / "empty")
    there.environment = {**built.environment, "ENVBUILD_STORE": str(tmp_path / "empty")}
    done = there.command("remote", "diff", old, new, "--format", "json")
    assert done.code == 0, done.err
    plain = json.loads(done.out)
    paths = {entry["path"]: entry["verb"] for entry in plain["files"] if entry["what"] != ["time"]}
    assert paths == {"/srv/app/main": "changed", "/srv/app/more": "added"}
    assert {"name": "Env A", "old": "1", "new": "2"} in plain["facts"]
    here = json.loads(built.command("diff", "web@{1}", "web", "--files", "--format", "json").out)
    assert {entry["path"] for entry in plain["files"]} == {entry["path"] for entry in here["files"]}
    shown = there.command("remote", "diff", old, new)
    assert "A /srv/app/more" in shown.out
    assert "M /srv/app/main" in shown.out
    assert json.loads(there.command("images", "--format", "json").out) == []
    assert there.command("remote", "diff", new, new).out == "the same\n"


def test_images_of_other_tools_are_compared_by_their_layers(user: Project, server):
    registry: Registry = server()
    registry.image(layer(("a", b"1")), tag="1")
    registry.image(layer(("a", b"2")), tag="2")
    names = [f"{registry.host}/web:{number}" for number in (1, 2)]
    done = user.command("remote", "diff", *names)
    assert done.code == 0
    assert "compared by layers, and not by files" in done.err
    assert f"+ layer {digest(layer(('a', b'2')))[7:19]}" in done.out
    assert json.loads(user.command("remote", "diff", *names, "--format", "json").out)["files"] is None
    by_files = user.command("remote", "diff", *names, "--files", "--format", "json")
    assert by_files.code == 0, by_files.err
    (changed,) = json.loads(by_files.out)["files"]
    assert (changed["path"], changed["verb"], changed["what"]) == ("/a", "changed", ["content"])
    blobs = [request.path for request in registry.requests if request.path.endswith(digest(layer(("a", b"1"))))]
    assert user.command("remote", "diff", *names, "--files").code == 0
    assert len([request.path for request in registry.requests if request.path in blobs]) == len(blobs) == 1
    assert json.loads(user.command("images", "--format", "json").out) == []
