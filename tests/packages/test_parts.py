"""Installations in parts: what was installed in the same place before comes from the store, with the same result."""

import re

import pytest

from tests.conftest import installs_of
from tests.packages.wheels import Index

pytestmark = [pytest.mark.namespaces, pytest.mark.mirror, pytest.mark.slow]
SAME = {"pkg/shared.py": "x = 1\n"}


@pytest.fixture
def index(server) -> Index:
    return Index(server)


@pytest.fixture
def build(debian, index):
    """Builds on Debian with Python, with the loopback index as the user's; returns the image and how many packages
    came from where they were before. `run.printed` is what the last build's steps printed."""

    def run(*lines: str, options: tuple[str, ...] = ()) -> tuple[str, str]:
        settings = {"PIP_INDEX_URL": index.url, "PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": ""}
        done = debian.build("from image:python", *lines, options=options, **settings)
        assert done.code == 0, done.out + done.err
        run.printed = done.printed
        counted = re.search(r"(\d+ of \d+) packages? as installed here before", done.printed)
        return done.image, counted[1] if counted else ""

    return run


def test_each_wheel_is_installed_once_and_the_image_is_that_of_all_at_once(build, index):
    index.add("alpha", "1.0", ("beta",), files={"space/alpha.py": "a = 1\n", "broken.py": "def\n"})
    index.add("beta", "1.0", files={"space/beta.py": "b = 2\n", "beta-1.0.data/data/share/beta.txt": "data\n"})
    index.add("gamma", "1.0", files={"space/gamma.py": "c = 3\n"})
    index.add("gamma", "2.0", files={"gamma-2.0.data/scripts/tool": "#!python\nprint(1)\n"})
    assert build("pip(into=/v) alpha")[1] == ""
    for words, known in (
        ("alpha gamma==1.0", "2 of 3"),  # one more
        ("alpha gamma==2.0", "2 of 3"),  # another version
        ("alpha beta gamma==1.0", "2 of 3"),  # beta is asked for now, and its metadata say so
        ("gamma==2.0", "1 of 1"),  # fewer
    ):
        image, found = build(f"pip(into=/v) {words}")
        assert found == known
        assert build(f"pip(into=/v) {words}", options=("--no-cache",)) == (image, "")


@pytest.mark.parametrize("content", ["x = 1\n", "x = 2\n"], ids=["same", "other"])
def test_wheels_with_a_file_at_one_path_are_joined_only_if_it_is_the_same(build, index, content):
    index.add("delta", "1.0", files=SAME)
    index.add("echo", "1.0", files={"pkg/shared.py": content})
    index.add("foxtrot", "1.0")
    build("pip(into=/w) delta")
    first, _ = build("pip(into=/w) delta echo")
    assert build("pip(into=/w) delta echo", options=("--no-cache",)) == (first, "")
    second, _ = build("pip(into=/w) delta echo foxtrot")
    assert build("pip(into=/w) delta echo foxtrot", options=("--no-cache",)) == (second, "")
    alone, _ = build("pip(into=/w) echo foxtrot")
    assert build("pip(into=/w) echo foxtrot", options=("--no-cache",)) == (alone, "")


def test_an_environment_that_is_there_already_is_added_to_as_ever(build, index):
    index.add("golf", "1.0", files={"old_part.py": "x = 1\n"})
    index.add("golf", "2.0")
    index.add("hotel", "1.0")
    index.add("india", "1.0")
    build("pip(into=/x) golf==1.0", "pip(into=/x) hotel")
    for words in ("hotel india", "golf==2.0 hotel india"):
        image, _ = build("pip(into=/x) golf==1.0", f"pip(into=/x) {words}")
        assert build("pip(into=/x) golf==1.0", f"pip(into=/x) {words}", options=("--no-cache",)) == (image, "")


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
    assert "Requirement already satisfied: juliet" in build.printed
    assert "Collecting juliet" not in build.printed
    assert versions() == {"juliet": "1.0", "kilo": "1.0", "lima": "1.0"}
    build("pip(into=/y) juliet lima mike")
    assert versions() == {"juliet": "1.0", "kilo": "2.0", "lima": "1.0", "mike": "1.0"}
    build("pip(into=/y) juliet")
    assert versions() == {"juliet": "1.0", "kilo": "2.0"}
