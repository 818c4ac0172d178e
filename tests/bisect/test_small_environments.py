"""Eight kinds of faults among 160 packages that moved, each found by its own test."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bisect.small_environments import FAULTS, Fault, build_pair
from tests.conftest import Project

pytestmark = pytest.mark.namespaces


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, busybox: Path) -> Iterator[Project]:
    """A project with the two environments."""
    folder = tmp_path_factory.mktemp("pair")
    shutil.copy(busybox, folder / "busybox.tar")
    project = Project(folder, folder / "store")
    build_pair(project)
    yield project
    project.end()


@pytest.mark.parametrize(
    "fault",
    [pytest.param(fault, marks=pytest.mark.user if fault.name == "library" else ()) for fault in FAULTS],
    ids=lambda fault: fault.name,
)
def test_each_kind_of_fault_is_found(pair: Project, fault: Fault):
    done = pair.command("bisect", "web:good", "web:bad", "--format", "json", "--", "sh", "-c", fault.test)
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert report["total"] > 150
    assert all(word in report["answer"] for word in fault.words), report["answer"]
    assert len(report["differences"]) == (2 if fault.name == "pair" else 1), report["answer"]
