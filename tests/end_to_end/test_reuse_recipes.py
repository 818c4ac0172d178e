"""The recipes of recipes/, with edits at random: `build --trace` gives what a build without a cache gives."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from tests.conftest import Done, Project

RECIPES = Path(__file__).parents[2] / "recipes"
DAILY = ("hello.env",)
"""Of these alone the base is made without a mirror in a few seconds."""
UNREPEATABLE = (
    "uptime-kuma.env",
    "jupyter.env",
    "wordpress.env",
    "it-tools.env",
    "cargo.env",
    "maven.env",
    "devcontainer.env",
)
"""Too large for an edit, or not known to give the same twice (docs/from-dockerfiles.md)."""
EDITS = [
    "run mkdir -p /srv/edited && date -u -d @7 > /srv/edited/file || true",
    "run rm -rf /usr/share/doc/[a-m]* || true",
    "run touch -d @1700000000 /etc/hostname /usr/lib/edited || true",
    "file /etc/edited\n    with a line",
    "env EDITED=1",
    "run echo edited >> /etc/profile || true",
    "run chmod 700 /opt || true",
]

pytestmark = [pytest.mark.namespaces, pytest.mark.filterwarnings("ignore")]


def all_recipes() -> list:
    params = []
    for path in sorted(RECIPES.rglob("*.env")):
        if "parts" in path.parts or path.name in UNREPEATABLE:
            continue
        marks = [] if path.name in DAILY else [pytest.mark.nightly, pytest.mark.mirror]
        params.append(pytest.param(path, id=str(path.relative_to(RECIPES)), marks=marks))
    return params


def places(lines: list[str]) -> list[int]:
    """Where a statement can be inserted: before those that have a base above them."""
    first = next(number for number, line in enumerate(lines) if line.startswith("from"))
    return [
        number
        for number in range(first + 1, len(lines))
        if re.match(r"(run|file|copy|apt|pip|test|env|user)\b", lines[number])
    ]


def edited(lines: list[str], changes: list[tuple[int, str]]) -> list[str]:
    for at, statement in changes:
        known = places(lines)
        place = known[at % len(known)]
        lines = [*lines[:place], *statement.split("\n"), *lines[place:]]
    return lines


edits = st.lists(st.tuples(st.integers(0, 7), st.sampled_from(EDITS)), min_size=1, max_size=2)


def build(project: Project, name: str, *options: str) -> Done:
    done = project.build(name=name, options=options)
    assert done.code == 0, done.err[-3000:]
    return done


def project_for(path: Path, request: pytest.FixtureRequest) -> Project:
    on_debian = re.search("^from debian:", path.read_text(), re.MULTILINE) is not None
    return request.getfixturevalue("debian" if on_debian else "project")


@pytest.mark.parametrize("path", all_recipes())
def test_an_edited_recipe(path, request):
    project = project_for(path, request)
    shutil.copytree(path.parent, project.folder, dirs_exist_ok=True)
    original = path.read_text().splitlines()
    build(project, path.name, "--trace")

    @settings(
        max_examples=1 if path.name in DAILY else 3,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(edits)
    def check(changes):
        project.write(path.name, *edited(original, changes))
        done = project.build(name=path.name, options=("--trace",))
        if done.code:
            # An edit can take away what the recipe needs: then it does not work without the trace either.
            event("the edited recipe fails")
            assert project.build(name=path.name, options=("--no-cache",)).code == done.code
            return
        event(f"{len(done.of('step-reused'))} reused")
        assert build(project, path.name, "--no-cache").image == done.image, (changes, done.of("step-reused"))

    check()
