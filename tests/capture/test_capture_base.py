"""`from capture:NAME`: a captured machine as the base of a recipe."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.capture.conftest import Machine

pytestmark = pytest.mark.namespaces
LINES = ("from capture:laptop", "file /etc/added", "    more")


@pytest.fixture
def built(machine: Machine) -> Machine:
    machine.capture()
    done = machine.project.build(*LINES)
    assert done.code == 0, done.err
    return machine


def content(machine: Machine, path: str) -> str:
    return machine.output("cat", "web", path)


def test_the_lock_pins_the_capture_and_update_takes_the_newest(built):
    assert content(built, "/etc/hostname") == "laptop\n"
    assert content(built, "/etc/added") == "more\n"
    built.write("/etc/hostname", "other\n")
    built.capture()
    assert built.project.build(*LINES).code == 0
    assert content(built, "/etc/hostname") == "laptop\n"
    done = built.project.command("update", "web.env")
    assert done.code == 0, done.err
    assert "capture:laptop" in done.out
    assert content(built, "/etc/hostname") == "other\n"


def test_an_earlier_capture_is_named_as_in_history(built):
    built.write("/etc/hostname", "other\n")
    built.capture()
    for which, name in (("@{1}", "laptop\n"), ("@{0}", "other\n"), ("", "other\n")):
        done = built.project.build(f"from capture:laptop{which}", name=f"of{len(which)}{which[2:3]}.env")
        assert done.code == 0, done.err
        assert built.output("cat", f"of{len(which)}{which[2:3]}", "/etc/hostname") == name


def test_what_the_lock_pins_outlives_the_history(built):
    """The history of captures is thinned out; the lock's capture stays as long as its file is there."""
    before = json.loads(built.output("show", "web", "--format", "json"))["digest"]
    built.output("untag", "laptop")
    built.output("gc", "--keep", "0", "--days", "0")
    built.write("/etc/hostname", "other\n")
    built.capture()
    assert built.project.build(*LINES).code == 0
    assert json.loads(built.output("show", "web", "--format", "json"))["digest"] == before


def test_a_lock_cannot_name_any_tree_of_the_store(built):
    """Somebody's pull request makes the lock name an image of this machine that has nothing to do with captures."""
    project = built.project
    assert project.build("from scratch", "file /secret", "    s", name="mine.env").code == 0
    mine = json.loads(built.output("show", "mine", "--format", "json"))["tree"]
    lock = project.folder / "web.env.lock"
    text = lock.read_text()
    stage = next(line for line in text.splitlines() if line.strip().startswith("digest: sha256:"))
    lock.write_text(text.replace(stage.split()[1], mine))
    done = project.command("build", "web.env")
    assert done.code == 1
    assert "the lock pins another one than this store has" in done.err
    status = json.loads(built.output("status", "web.env", "--format", "json"))
    assert "pins another one" in json.dumps(status)


def test_captures_are_outside_of_all_projects(machine):
    machine.capture()
    subprocess.run(["git", "init", "-q", machine.project.folder], check=True)
    assert machine.project.build("from scratch", "file /a", "    a", name="laptop.env").code == 0
    done = machine.project.build(*LINES)
    assert done.code == 0, done.err
    assert content(machine, "/etc/hostname") == "laptop\n"


def test_what_is_no_capture_is_refused(machine):
    project = machine.project
    assert project.build("from scratch", "file /a", "    a", name="plain.env").code == 0
    for base, said in (
        ("capture:plain", "no capture of a machine"),
        ("capture:nobody", "there is no image 'nobody'"),
        ("capture:a/b", "is not a valid base"),
        ("capture:laptop:latest", "is not a valid base"),
        ("capture:", "needs more after its colon"),
    ):
        done = project.build(f"from {base}")
        assert done.code in (1, 2), done.err
        assert said in done.err
