"""Copies of copies take no room in a store, and what they come to doubles with each."""

from __future__ import annotations

import pytest

from tests.attacks.limited import limited
from tests.conftest import Project

pytestmark = pytest.mark.namespaces


def test_a_folder_of_more_files_than_any_environment_is_refused(project: Project):
    lines = ["from tar:busybox.tar as s0", "file /a/x", "    x"]
    for number in range(1, 41):
        lines.append(f"from tar:busybox.tar as s{number}")
        lines += [f"copy(from=s{number - 1}) /a/ -> /a/{side}/" for side in "12"]
    project.write("web.env", *lines)
    done = limited(project, "build", "web.env", memory=16 << 30, seconds=120)  # a thread for each stage
    assert done.returncode == 1, done.stderr
    assert "more than 2,000,000 files" in done.stderr
