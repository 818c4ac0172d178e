"""Stores, locks and JSON that an earlier commit made: read without a change, with the same digests.

`stores/NAME/` has the recipes, locks and store of a user of that commit (user.tar.xz) and what its commands printed.
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from tests.conftest import Project

STORES = Path(__file__).with_name("stores")
COMMANDS = {
    "images": ("images",),
    "show": ("show", "web"),
    "log": ("log", "web"),
    "status": ("status",),
    "diff": ("diff", "web@{1}", "web"),
}

pytestmark = pytest.mark.namespaces


@pytest.fixture(params=sorted(path.name for path in STORES.iterdir()))
def old(request, tmp_path) -> tuple[Project, Path]:
    folder = STORES / request.param
    with tarfile.open(folder / "user.tar.xz") as archive:
        # Python 3.11 knows filters from 3.11.4 on, and 3.14 has another one by default.
        archive.extractall(tmp_path, **({"filter": "fully_trusted"} if hasattr(tarfile, "data_filter") else {}))
    return Project(tmp_path / "project", tmp_path / "store"), folder


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_print_what_they_did(old, command):
    project, folder = old
    printed = project.command(*COMMANDS[command], "--format", "json")
    assert json.loads(printed.out) == json.loads((folder / f"{command}.json").read_text())


def test_all_steps_are_cached_and_the_lock_stays(old):
    project, folder = old
    lock = (project.folder / "web.env.lock").read_bytes()
    built = project.build()
    assert built.code == 0, built.err
    assert built.ran == []
    image = json.loads((folder / "show.json").read_text())["digest"].removeprefix("sha256:")
    assert built.image == image
    assert (project.folder / "web.env.lock").read_bytes() == lock
    assert project.command("fsck").code == 0


def test_a_new_store_gives_the_same_image(old, tmp_path):
    project, folder = old
    lock = (project.folder / "web.env.lock").read_bytes()
    built = Project(project.folder, tmp_path / "new").build(options=("--locked",))
    assert built.code == 0, built.err
    assert built.image == json.loads((folder / "show.json").read_text())["digest"].removeprefix("sha256:")
    assert (project.folder / "web.env.lock").read_bytes() == lock
