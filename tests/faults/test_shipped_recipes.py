"""The recipes that ship, killed on the way and damaged after: they are built, run, and are what they were."""

import random
import signal
import time

import pytest

from tests.conftest import Project
from tests.end_to_end.test_bases import needs_curl, needs_dpkg, shipped
from tests.faults.test_damage import flip, objects

pytestmark = [pytest.mark.namespaces, pytest.mark.slow]


def kill_at_random(project: Project, name: str, longest: float, seed: int) -> None:
    randomness = random.Random(seed)
    for _ in range(2):
        build = project.start("build", name, "--jobs", "2")
        time.sleep(randomness.uniform(0.1, longest))
        build.send_signal(signal.SIGKILL)
        build.communicate()


def stands(project: Project, name: str, image: str, words: tuple[str, ...]) -> str:
    """Builds, and sees that the image runs and the store is clean; its digest."""
    done = project.build(name=name)
    assert done.code == 0, done.err
    ran = project.command("run", image, *words)
    assert ran.code == 0, ran.err
    assert project.command("fsck").code == 0
    assert list((project.store / "work").iterdir()) == []
    return done.image


def damage_and_mend(project: Project, name: str, image: str, words: tuple[str, ...], *, times: int) -> None:
    for number in range(times):
        victim = random.Random(number).choice([path for path in objects(project) if path.stat().st_size])
        flip(victim)
        ran = project.command("run", image, *words)
        assert ran.code in (0, 1)  # 0 where the file is not in this image, or was not in the way
        if ran.code:
            assert "the store is damaged" in ran.err
        assert project.build(name=name).code == 0
        assert project.command("run", image, *words).code == 0
        assert project.command("fsck", "--repair").code == 0
        assert project.build(name=name).code == 0
    stands(project, name, image, words)


@needs_dpkg
@pytest.mark.parametrize(
    ("path", "image", "words"),
    [
        pytest.param("hello.env", "hello", (), marks=pytest.mark.nightly),
        pytest.param("shared/tools.env", "tools", ("--", "id", "-un"), marks=[needs_curl, pytest.mark.nightly]),
    ],
)
def test_recipes_on_this_machine_s_packages(tmp_path, path, image, words):
    name = path.rpartition("/")[2]
    other = shipped(tmp_path / "undisturbed", path)
    undisturbed = stands(other, name, image, words)
    project = shipped(tmp_path / "killed", path)
    kill_at_random(project, name, 1.5, seed=1)
    assert stands(project, name, image, words) == undisturbed
    damage_and_mend(project, name, image, words, times=3)
    assert stands(project, name, image, words) == undisturbed


@pytest.mark.mirror
@pytest.mark.nightly
@pytest.mark.parametrize(
    ("path", "image", "words"),
    [
        ("compile/compile.env", "sum", ("--", "/bin/sum")),
        ("web/web.env", "web", ("--", "python", "-c", "import flask")),
    ],
)
def test_recipes_with_packages_from_the_network(tmp_path, path, image, words):
    """What networked steps install may differ from run to run, so no digests are compared."""
    name = path.rpartition("/")[2]
    project = shipped(tmp_path, path)
    kill_at_random(project, name, 25, seed=2)
    stands(project, name, image, words)
    damage_and_mend(project, name, image, words, times=1)
