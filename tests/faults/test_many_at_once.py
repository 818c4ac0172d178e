"""Many builds on one store, and garbage collection meanwhile."""

import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

pytestmark = pytest.mark.namespaces

SHARED = ("from tar:busybox.tar", "run sleep 0.1; echo shared > /shared", "copy app/ -> /app/", "run wc -l /app/* > /n")


def recipe(number: int) -> tuple[str, ...]:
    """All have four steps in common; the rest is their own."""
    return (*SHARED, f"run sleep 0.05; echo {number} > /own", "run cat /own > /last")


@pytest.mark.slow
def test_twenty_builds_of_five_recipes_run_each_step_once(project):
    for number in range(5):
        project.write(f"app/f{number}", str(number))
        project.write(f"r{number}.env", *recipe(number))
    stop = threading.Event()
    collected: list[int] = []

    def collect() -> None:
        while not stop.wait(0.05):
            collected.append(project.command("gc").code)

    collector = threading.Thread(target=collect)
    collector.start()
    with ThreadPoolExecutor(20) as at_once:
        builds = list(at_once.map(lambda number: project.build(name=f"r{number % 5}.env"), range(20)))
    stop.set()
    collector.join()
    assert [build.code for build in builds] == [0] * 20, [build.err for build in builds]
    # gc had the store to itself between two builds at most, and took nothing that a lock or a tag names.
    assert set(collected) <= {0, 3}  # 3 while there is no store yet
    ran = Counter()
    images = {}
    for number, build in enumerate(builds):
        ran.update(event["tree"] for event in build.of("step-finished"))
        assert images.setdefault(number % 5, build.image) == build.image
    # The base and the shared steps once for all, two steps once for each recipe.
    assert set(ran.values()) == {1}, ran
    assert len(ran) == 4 + 5 * 2
    assert project.command("fsck").code == 0
    assert list((project.store / "work").iterdir()) == []
    for number in range(5):
        assert project.command("cat", f"r{number}", "/last").out == f"{number}\n"


def test_gc_leaves_alone_what_a_running_instance_uses(project):
    assert project.build("run echo 1 > /a").code == 0
    instance = project.start("run", "web", "--", "sh", "-c", "echo up; read line; cat /a")
    instance.kill()
    instance.communicate()
    instance = subprocess.Popen(
        [sys.executable, "-m", "envbuild", "run", "web", "--", "sh", "-c", "echo up; read line; cat /a"],
        cwd=project.folder,
        env=project.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert instance.stdout.readline() == b"up\n"
    assert project.command("untag", "web").code == 0
    (project.folder / "web.env.lock").unlink()
    collector = project.start("gc")
    with pytest.raises(subprocess.TimeoutExpired):
        collector.wait(0.5)  # it waits for the instance
    out, _ = instance.communicate(b"\n", timeout=300)
    assert out == b"1\n"
    collector.communicate(timeout=300)
    assert collector.returncode == 0
    assert project.command("images", "--format", "json").out.strip() == "[]"
