"""Months of captures, and one file that was adjusted by hand and forgotten: two commands find it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.capture import months
from tests.capture.conftest import Machine
from tests.conftest import Project
from tests.memory_folder import on_disk

CAPTURES = 200
SEED = 1


@pytest.mark.namespaces
def test_what_was_adjusted_and_forgotten_is_found_by_diff_and_why(machine: Machine):
    machine.write("/etc/app.conf", "port = 8080\n")
    for day in range(12):
        if day == 4:
            machine.write("/etc/app.conf", "port = 8008\n")
        machine.write(f"/usr/local/bin/tool-{day % 5}", f"{day}\n", 0o755)
        machine.capture("-m", "tried another port" if day == 4 else f"day {day}")
    changes = machine.output("diff", "laptop@{11}", "laptop", code=1)
    assert "/etc/app.conf" in changes
    reason = machine.output("why", "laptop", "/etc/app.conf")
    assert "laptop:latest@{7}" in reason
    assert "tried another port" in reason
    assert "-port = 8080\n+port = 8008\n" in reason


@pytest.fixture
def debian_machine() -> Iterator[tuple[months.Machine, Project]]:
    with on_disk() as folder:
        (folder / "project").mkdir()
        project = Project(folder / "project", folder / "store")
        machine = months.Machine(folder / "root", SEED)
        machine.bootstrap()
        machine.run("apt-get", "update")
        yield machine, project
        project.end()


def capture(project: Project, root: Path, why: str) -> None:
    done = project.command("capture", "laptop", "--root", str(root), "-m", why)
    assert done.code == 0, done.err


@pytest.mark.nightly
@pytest.mark.mirror
@pytest.mark.namespaces
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may run the programs of another root")
def test_two_hundred_captures_of_a_debian_that_somebody_uses(debian_machine):
    machine, project = debian_machine
    capture(project, machine.root, "as it came")
    planted = CAPTURES // 3
    for number in range(1, CAPTURES):
        capture(project, machine.root, machine.break_it() if number == planted else machine.live())
    changes = project.command("diff", f"laptop@{{{CAPTURES - 1}}}", "laptop")
    assert changes.code == 1, changes.err
    assert re.search(rf"M {months.FAULT} +edited in passwd", changes.out)
    reason = project.command("why", "laptop", months.FAULT).out
    assert f"laptop:latest@{{{CAPTURES - 1 - planted}}}" in reason
    assert f"capture: {months.FAULT_REASON}" in reason
    assert f"-{months.SOUND}+{months.FAULTY}" in reason
    answer = project.command("bisect", f"laptop@{{{CAPTURES - 1}}}", "laptop", "--", *months.TEST)
    assert answer.out.startswith(f"{months.FAULT} (changed"), answer.out + answer.err
    assert "0 problems" in project.command("fsck").out
