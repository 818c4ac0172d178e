"""Copies of copies take no room in a store, and what they come to doubles with each."""

from __future__ import annotations

import pytest

from tests.attacks import lowered
from tests.attacks.limited import limited
from tests.conftest import Project

pytestmark = pytest.mark.namespaces


def write_doubling(project: Project, stages: int) -> None:
    """A recipe each of whose stages has a folder twice that the one before has once."""
    lines = ["from tar:busybox.tar as s0", "file /a/x", "    x"]
    for number in range(1, stages + 1):
        lines.append(f"from tar:busybox.tar as s{number}")
        lines += [f"copy(from=s{number - 1}) /a/ -> /a/{side}/" for side in "12"]
    project.write("web.env", *lines)


def test_a_folder_of_more_files_than_may_be_copied_is_refused(project: Project):
    write_doubling(project, 13)
    done = project.call(lowered.few_copied, "build", "web.env")
    assert done.returncode == 1, done.stderr
    assert f"more than {lowered.COPIED:,} files" in done.stderr


@pytest.mark.nightly
def test_a_folder_of_more_files_than_any_environment_is_refused(project: Project):
    """Two million in all, of which CI sees three thousand, in time and memory."""
    write_doubling(project, 40)
    done = limited(project, "build", "web.env", memory=16 << 30, seconds=120)  # a thread for each stage
    assert done.returncode == 1, done.stderr
    assert "more than 2,000,000 files" in done.stderr
