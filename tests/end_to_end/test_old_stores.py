"""Stores, locks and JSON that an earlier commit made: read without a change, with the same digests.

`stores/NAME/` has the recipes, locks and store of a user of that commit (user.tar.xz) and what its commands printed.
"""

from __future__ import annotations

import json
import re
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


EARLIER = "an earlier envbuild made it, which gave all files one time"


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_print_what_they_did(old, command):
    project, folder = old
    printed = project.command(*COMMANDS[command], "--format", "json")
    before = json.loads((folder / f"{command}.json").read_text())
    if command == "status":
        for recipe in before:
            recipe |= {"lock": "out of date", "proven": False, "well": False}
            recipe |= {"rebuild": None}  # of a merge, which came since
        assert all(EARLIER in reason for recipe in json.loads(printed.out) for reason in recipe["reasons"])
        before = [{name: value for name, value in recipe.items() if name != "reasons"} for recipe in before]
        now = [
            {name: value for name, value in recipe.items() if name != "reasons"} for recipe in json.loads(printed.out)
        ]
        assert now == before
        return
    if command in ("images", "show", "log"):
        # Names belong to projects since then; these were built outside of all.
        for item in [before] if command == "show" else before:
            item["project"] = None
    now = json.loads(printed.out)
    if command in ("images", "show"):
        for was, item in zip(
            [before] if command == "show" else before, [now] if command == "show" else now, strict=True
        ):
            _number_as_builds_do(was)
            for step in (*item["stages"], *item["steps"]):
                sizes = [step.pop(name, None) for name in ("files", "size", "removed", "freed")]
                # They follow from the trees; `images` does without them.
                assert (None not in sizes) == (command == "show")
    assert now == before


def _number_as_builds_do(image: dict) -> None:
    """Since then what a stage starts from is a step, too, as in a build's events, and the kind of a step is the word of
    its statement."""
    number = 0
    for stage in image["stages"]:
        number += 1
        stage["number"] = number
        for step in image["steps"]:
            if step["stage"] == stage["stage"]:
                number += 1
                step["number"] = number
                step["kind"] = re.match("[a-z]+", step["text"])[0]


def test_a_lock_is_renewed_and_only_times_differ(old):
    """Files have times of their own since then: the steps that give them run once more."""
    project, _folder = old
    strict = project.build(options=("--locked",))
    assert strict.code == 1
    assert EARLIER in strict.err
    built = project.build()
    assert built.code == 0, built.err
    assert EARLIER in built.out
    assert {line.split()[0].partition("(")[0] for line in built.ran} <= {"copy", "file", "workdir", "discard"}
    assert "\nversion: 3\n" in (project.folder / "web.env.lock").read_text()
    compared = json.loads(project.command("diff", "web@{1}", "web", "--format", "json").out)
    assert not compared["same"]
    assert compared["unexplained"] == []
    verified = project.command("verify", "web@{1}")
    assert "nothing but times" in verified.out + verified.err
    assert project.build(options=("--locked",)).ran == []
    assert project.command("status", "web.env").code == 0
    assert project.command("fsck").code == 0


def test_a_new_store_gives_the_same_image(old, tmp_path):
    project, _folder = old
    image = project.build().image
    built = Project(project.folder, tmp_path / "new").build(options=("--locked",))
    assert built.code == 0, built.err
    assert built.image == image
