"""Builds in which only copies and the like are left: they make no sandbox, and come to what others come to."""

from __future__ import annotations

import pytest

from tests.cli.test_start_up import HEAVY, loaded

pytestmark = [pytest.mark.namespaces, pytest.mark.user]

SANDBOX = ("envbuild.sandbox.helper_client", "envbuild.build.scheduler", "threading", "functools")
LINES = ("run echo hello > /greeting", "copy app/ -> /srv/app/")


@pytest.fixture
def edited(project):
    """A project with an image whose copied file has changed since."""
    project.write("app/main", "1")
    assert project.build(*LINES).code == 0
    project.write("app/main", "2")
    return project


def test_an_edit_of_what_is_copied_makes_no_sandbox(edited):
    assert loaded(edited, (*HEAVY, *SANDBOX), "build", "web.env") == "0 []"
    assert edited.cat("/srv/app/main") == "2\n"


def test_the_image_is_the_one_of_a_build_from_nothing(project):
    lines = (
        "run echo hello > /greeting",
        "copy(owner=1000:1000, mode=600) app/ -> /srv/app/",
        "file /etc/motd",
        "    hi",
    )
    project.write("app/main", "1")
    assert project.build(*lines).code == 0
    project.write("app/main", "2")
    done = project.build(*lines)
    assert len(done.ran) == 2
    assert project.build(options=("--no-cache",)).image == done.image
    assert project.command("run", "web", "--", "stat", "-c", "%a", "/srv/app/main").out == "600\n"
    assert project.command("fsck").code == 0


def test_what_a_later_step_lacks_is_said_before_the_first_is_performed(edited):
    done = edited.build(*LINES, "copy nowhere -> /srv/")
    assert done.code == 2
    assert "nowhere" in done.err
    assert done.ran == []


def test_a_command_behind_the_copy_runs(edited):
    done = edited.build(*LINES, "run cat /srv/app/main > /seen")
    assert len(done.ran) == 2
    assert edited.cat("/seen") == "2\n"


def test_copies_between_stages_follow_each_other(project):
    base = "from tar:busybox.tar"
    lines = (f"{base} as made", "copy app/ -> /app/", f"{base} as web", "copy(from=made) /app/main -> /main")
    project.write("app/main", "1")
    assert project.build(*lines).code == 0
    project.write("app/main", "2")
    assert len(project.build(*lines).ran) == 2
    assert project.cat("/main") == "2\n"


def test_a_locked_build_refuses_the_edit(edited):
    done = edited.build(options=("--locked=exact",))
    assert done.code != 0
    assert "web.env.lock" in done.err


def test_no_sandbox_is_made_for_commands_that_read_nothing_of_an_edit(project):
    lines = ("run echo 1 > /one", "file /etc/note\n    behind", "run cat /one > /two", "workdir /srv", "test cat /two")
    project.build("file /etc/early\n    a", *lines, options=("--trace",))
    project.write("web.env", "from tar:busybox.tar", "file /etc/early\n    b", *lines)
    assert loaded(project, SANDBOX[:3], "build", "--trace", "web.env") == "0 []"
    image = project.show()["digest"]
    assert project.build(options=("--no-cache",)).image == image.removeprefix("sha256:")
    assert project.command("fsck").code == 0
