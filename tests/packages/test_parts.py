"""Installations in parts: what was installed in the same place before comes from the store, with the same result."""

import json
import re

import pytest

from tests.conftest import installs_of
from tests.packages.wheels import Index

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.mirror,
    pytest.mark.slow,
    pytest.mark.usefixtures("compiled_pip"),
]


@pytest.fixture
def index(server) -> Index:
    return Index(server)


@pytest.fixture
def build(debian, index):
    """Builds on Debian with Python, with the loopback index as the user's; returns the image and how many packages
    came from where they were before. `run.printed` is what the last build's steps printed."""

    def run(*lines: str, options: tuple[str, ...] = ()) -> tuple[str, str]:
        settings = {"PIP_INDEX_URL": index.url, "PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": ""}
        done = debian.build("from image:compiled-pip", *lines, options=options, **settings)
        assert done.code == 0, done.out + done.err
        run.printed = done.printed
        counted = re.search(r"(\d+ of \d+) packages? as installed here before", done.printed)
        return done.image, counted[1] if counted else ""

    return run


def test_what_a_list_gains_is_added_and_the_image_is_that_of_all_at_once(build, index, debian):
    index.add("alpha", "1.0", ("beta",), files={"space/alpha.py": "a = 1\n", "broken.py": "def\n"})
    index.add("beta", "1.0", files={"space/beta.py": "b = 2\n", "beta-1.0.data/data/share/beta.txt": "data\n"})
    assert build("pip(into=/v) alpha")[1] == ""
    index.add("alpha", "2.0")
    index.add("gamma", "1.0", files={"space/gamma.py": "c = 3\n", "gamma-1.0.data/scripts/tool": "#!python\nx\n"})
    image, known = build("pip(into=/v) alpha gamma")
    assert known == "2 of 3"
    assert "Requirement already satisfied: alpha" in build.printed
    assert "Collecting alpha" not in build.printed
    assert build("pip(into=/v) alpha gamma", options=("--no-cache",)) == (image, "")
    listed = json.loads(debian.command("packages", "web", "--kind", "python", "--format", "json").out)
    assert {entry["name"] for entry in listed if entry["asked"]} == {"alpha", "gamma"}
    marked = [line.split()[1] for line in debian.command("packages", "web").out.splitlines() if " * " in line]
    assert sorted(marked) == ["alpha", "gamma", "python3", "python3-venv"]
    assert [step["kind"] for step in debian.show("web")["steps"]] == ["pip"]


@pytest.mark.nightly
def test_a_list_of_other_versions_or_fewer_is_joined_too(build, index):
    index.add("alpha", "1.0", ("beta",))
    index.add("beta", "1.0")
    index.add("gamma", "1.0")
    index.add("gamma", "2.0")
    build("pip(into=/v2) alpha gamma==1.0")
    for words, known in (
        ("alpha gamma==2.0", "2 of 3"),  # another version
        ("alpha beta gamma==1.0", "2 of 3"),  # beta is asked for now, and its metadata say so
        ("gamma==2.0", "1 of 1"),  # fewer
    ):
        image, rebuilt = build(f"pip(into=/v2) {words}")
        assert rebuilt == known
        assert build(f"pip(into=/v2) {words}", options=("--no-cache",)) == (image, "")


@pytest.mark.nightly
def test_a_wheel_that_writes_what_another_one_brings_leaves_it_no_part(build, index):
    index.add("delta", "1.0", files={"pkg/shared.py": "x = 1\n"})
    index.add("echo", "1.0", files={"pkg/shared.py": "x = 2\n"})
    index.add("same", "1.0", files={"pkg/shared.py": "x = 1\n"})
    forged = {"delta-1.0.dist-info/RECORD": "delta.py,,\nevil.pth,,\n", "delta.py": "x = 3\n", "evil.pth": "\n"}
    files = {f"forger-1.0.data/purelib/{path}": text for path, text in forged.items()}
    index.add("forger", "1.0", files=files)
    for words in ("delta echo", "delta forger", "delta", "delta same", "echo", "delta echo same"):
        image, _ = build(f"pip(into=/u) {words}")
        assert build(f"pip(into=/u) {words}", options=("--no-cache",)) == (image, ""), words


@pytest.mark.nightly
def test_an_environment_that_is_there_already_is_added_to_as_ever(build, index):
    index.add("golf", "1.0", files={"old_part.py": "x = 1\n"})
    index.add("golf", "2.0")
    index.add("hotel", "1.0")
    index.add("india", "1.0")
    build("pip(into=/x) golf==1.0", "pip(into=/x) hotel")
    for words in ("hotel india", "golf==2.0 hotel india"):
        image, _ = build("pip(into=/x) golf==1.0", f"pip(into=/x) {words}")
        assert build("pip(into=/x) golf==1.0", f"pip(into=/x) {words}", options=("--no-cache",)) == (image, "")


@pytest.mark.nightly
def test_pip_is_asked_for_what_is_added_alone_unless_something_has_to_move(build, index, debian):
    def versions() -> dict[str, str]:
        (install,) = installs_of(debian.folder / "web.env.lock")
        return {package["name"]: package["version"] for package in install["packages"]}

    index.add("juliet", "1.0", ("kilo",))
    index.add("kilo", "1.0")
    build("pip(into=/y) juliet")
    index.add("juliet", "2.0", ("kilo",))
    index.add("kilo", "2.0")
    index.add("lima", "1.0", ("kilo",))
    index.add("mike", "1.0", ("kilo>1",))
    build("pip(into=/y) juliet lima")
    assert versions() == {"juliet": "1.0", "kilo": "1.0", "lima": "1.0"}
    build("pip(into=/y) juliet lima mike")
    assert versions() == {"juliet": "1.0", "kilo": "2.0", "lima": "1.0", "mike": "1.0"}
    build("pip(into=/y) juliet")
    assert versions() == {"juliet": "1.0", "kilo": "2.0"}
