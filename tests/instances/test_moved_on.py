"""A name that moves leaves instances behind that run, which is said wherever it could be taken for the new image."""

from __future__ import annotations

import json

import pytest

pytestmark = [pytest.mark.namespaces]


@pytest.fixture
def moved(project):
    """An instance of web, and web moved on to another image, and back to a third."""
    for text in ("one", "two"):
        done = project.build(f"run echo {text} > /text", 'start ["sleep", "1000"]')
        assert done.code == 0, done.err
    assert project.command("run", "-d", "--name", "first", "web").code == 0
    yield project
    project.command("kill", "first")
    project.command("rm", "first")


def test_rollback_and_tag_name_the_instances_that_run_another_image(moved):
    note = "note: first still runs another image than web:latest now is\n"
    done = moved.command("rollback", "web")
    assert note in done.err
    done = moved.command("tag", "web@{1}", "web")
    assert done.code == 0
    assert note not in done.err
    done = moved.command("tag", "web@{1}", "web")
    assert note in done.err


def test_ps_says_which_of_them_have_another_image(moved):
    assert "another one now" not in moved.command("ps").out
    moved.command("rollback", "web")
    assert "web (another one now)" in " ".join(moved.command("ps").out.split())
    assert [plain["moved_on"] for plain in json.loads(moved.command("ps", "--format", "json").out)] == ["web:latest"]


def test_what_has_ended_is_not_spoken_of(moved):
    moved.command("kill", "first")
    moved.command("wait", "first")
    assert "note: first" not in moved.command("rollback", "web").err
