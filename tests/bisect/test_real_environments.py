"""Real environments with one fault each: two releases of Debian with the same programs, and two sets of wheels."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from math import ceil, log2
from pathlib import Path

import pytest

from tests.bisect.real_environments import ENVIRONMENTS, Environment, build, build_sides
from tests.conftest import Project
from tests.history.conftest import Git

pytestmark = [pytest.mark.namespaces, pytest.mark.mirror, pytest.mark.nightly]
FLAKY = "[ $(($(od -An -N2 -tu2 /dev/urandom) % 5)) -eq 0 ] || exit 0; "
"""What four times in five ends a test with success."""


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project in git with the two releases."""
    folder = tmp_path_factory.mktemp("sides")
    project = Project(folder, folder / "store")
    git = Git(project)
    git("init", "--quiet", "--initial-branch=main")
    build_sides(project)
    git.commit("Both releases")
    yield project
    project.end()


def bisect(project: Project, environment: Environment, test: str, *options: str) -> dict:
    name = environment.name.replace(" ", "-")
    for side, statements in (("good", environment.good), ("bad", environment.bad)):
        if project.command("show", f"{name}-{side}").code != 0:
            build(project, f"{name}-{side}", statements)
    words = ["bisect", f"{name}-good", f"{name}-bad", *options, "--format", "json", "--", "sh", "-c", test]
    done = subprocess.run(
        [sys.executable, "-m", "envbuild", *words],
        cwd=project.folder,
        env=project.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda environment: environment.name)
def test_the_fault_is_found(sides: Project, environment: Environment, capsys: pytest.CaptureFixture[str]):
    report = bisect(sides, environment, environment.test)
    total, runs, causes = report["total"], report["runs"] + report["remembered"], len(report["differences"])
    with capsys.disabled():
        print(f"\n{environment.name}: {report['answer']}")
        bound = total * total + 3 * total
        print(f"  {runs} runs; log2 of {total} is {log2(total):.1f}, ddmin's bound {bound}")
    assert total >= 150
    assert all(word in json.dumps(report["differences"]) + json.dumps(report["parts"]) for word in environment.words)
    assert causes == (2 if environment.name == "pair" else 1), report["answer"]
    # Both ends, a search for each member, what is inside of them, and what decides three times.
    assert runs <= 250, report["answer"]
    assert runs >= ceil(log2(total)) * causes


def test_the_lock_names_who_brought_it(sides: Project):
    environment = ENVIRONMENTS[0]
    origin = bisect(sides, environment, environment.test)["differences"][0]["origin"]
    assert origin["lock"].startswith("old.env.lock:")
    line = (Path(sides.folder) / "old.env.lock").read_text().splitlines()[int(origin["lock"].partition(":")[2]) - 1]
    assert '"libsqlite3-0"' in line
    assert origin["commit"]["summary"] == "Both releases"


@pytest.mark.parametrize("environment", ENVIRONMENTS[2:4], ids=lambda environment: environment.name)
def test_a_test_that_fails_once_in_five_runs_finds_it_too(sides: Project, environment: Environment):
    report = bisect(sides, environment, FLAKY + environment.test, "--repeat", "20")
    assert report["flaky"]["bad"]["failures"] > 0
    assert all(word in json.dumps(report["differences"]) for word in environment.words), report["answer"]
