"""`envbuild update` of several recipes: each as if it were updated alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from envbuild.build import bases
from envbuild.cli import main
from envbuild.sandbox import user_namespace
from tests import poor_machines
from tests.conftest import Project

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.skipif(not Path("/var/lib/dpkg/status").exists(), reason="no dpkg on this machine"),
]


@pytest.fixture(autouse=True)
def little_is_essential(project: Project) -> None:
    """A base of this machine in its least form has 2,300 files, which are made eleven times here."""
    project.entry = "tests.poor_machines:with_little_essential"


def _two_recipes(project: Project) -> None:
    for name, package in (("one", "coreutils"), ("two", "busybox")):
        project.write(f"{name}.env", f"from host({package})", f"run echo {name} > /name")
        assert project.command("build", f"{name}.env").code == 0


def _owner(project: Project, image: str) -> str:
    return project.command("run", image, "--", "stat", "-c", "%u:%g", "/usr").out.strip()


def _build_where_owners_hide() -> int:
    """Build as versions did that made a base where its owners don't show."""
    user_namespace.enter_user_namespace()
    user_namespace.hides_owners = lambda: False
    poor_machines.take_essential_away()
    bases.belongs_to_nobody = lambda store, base, tree: False
    return main.run(["build", "one.env"])


@pytest.mark.user
def test_every_base_belongs_to_its_owners(project):
    _two_recipes(project)
    done = project.command("update")
    assert done.code == 0, done.err
    assert done.out == "one.env: nothing moved\ntwo.env: nothing moved\n"
    assert (_owner(project, "one"), _owner(project, "two")) == ("0:0", "0:0")


def test_goes_on_after_a_recipe_that_fails_and_says_so_at_the_end(project):
    _two_recipes(project)
    project.write("one.env", "from host(coreutils)", "run")
    done = project.command("update")
    assert done.code == 2
    assert "one.env:2" in done.err
    assert "two:latest" in done.err
    assert done.out == "two.env: nothing moved\none.env: failed, as said above\n"


def test_a_base_that_moved_is_shown_with_its_recipe(project):
    _two_recipes(project)
    lock = project.folder / "two.env.lock"
    digest = next(
        line.split("sha256:")[1] for line in lock.read_text().splitlines() if line.startswith("        digest")
    )
    lock.write_text(lock.read_text().replace(digest, "0" * 64))
    done = project.command("update")
    assert done.code == 0, done.err
    rows = [line.split() for line in done.out.splitlines()]
    assert rows[1] == ["two", "1", "base", "host(busybox)", "0" * 12, digest[:12]]
    assert done.out.endswith("one.env: nothing moved\n")


def test_a_base_of_several_recipes_is_made_once(project):
    for name in ("one", "two"):
        project.write(f"{name}.env", "from host(busybox)", f"run echo {name} > /name")
        assert project.command("build", f"{name}.env").code == 0
    done = project.command("update", "--progress", "plain")
    assert done.code == 0, done.err
    made = [line for line in done.err.splitlines() if "from host(busybox)" in line]
    assert ["cached" in line for line in made] == [False, True], done.err
    # Another day it is made again.
    assert "cached" not in project.command("update", "one.env").err.splitlines()[0]


@pytest.mark.skipif(os.geteuid() == 0, reason="root sees all owners")
@pytest.mark.user
def test_a_base_of_nobody_is_refused_and_made_again(project):
    if user_namespace.why_not_range(os.geteuid()):
        pytest.skip("needs a range of ids")
    project.write("one.env", "from host(coreutils)", "run echo one > /name")
    done = project.call(_build_where_owners_hide)
    assert done.returncode == 0, done.stderr
    assert _owner(project, "one") == "65534:65534"
    refused = project.command("build", "one.env")
    assert refused.code == 1
    assert "all files of this base belong to nobody" in refused.err
    assert "envbuild update" in refused.err
    project.write("two.env", "from host(coreutils)", "run echo two > /name")
    assert project.command("build", "two.env").code == 0
    assert project.command("update", "one.env").code == 0
    assert (_owner(project, "one"), _owner(project, "two")) == ("0:0", "0:0")


@pytest.mark.skipif(os.geteuid() == 0, reason="root sees all owners")
@pytest.mark.user
def test_no_base_is_made_where_owners_do_not_show(project):
    project.write("one.env", "from host(coreutils)", "run echo one > /name")
    done = project.call(_inside)
    assert done.returncode == 1
    assert "was not made right" in done.stderr
    assert project.command("build", "one.env").code == 0


def _inside() -> int:
    user_namespace.enter_user_namespace()
    poor_machines.take_essential_away()
    return main.run(["build", "one.env"])
