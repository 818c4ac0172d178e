"""A cache that a team shares in Debian's registry: somebody's first build runs what nobody ran, and no more."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from threading import Thread
from typing import Any

import pytest

from tests.conftest import Done, Project
from tests.history.conftest import Git
from tests.registry.debian_registry import DebianRegistry

pytestmark = pytest.mark.namespaces

STEPS = (
    "env A=1",
    "run mkdir -p /opt && echo 1 > /opt/x && chown 50:50 /opt/x && echo said",
    "run rm /opt/x && echo 2 > /opt/y",
    "copy app/ -> /srv/app/",
    "test test -f /srv/app/main",
    'start ["/bin/sh", "-c", "cat /srv/app/main"]',
)
STAGES = (
    "from tar:busybox.tar as tools",
    "run mkdir /out && echo tool > /out/tool && dd if=/dev/zero bs=1k count=200 | tr '\\0' a > /unused",
    "",
    "from tar:busybox.tar",
    "copy(from=tools) /out/tool -> /opt/tool",
    "run cat /opt/tool > /copied",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DebianRegistry]:
    """A registry for all tests of this module."""
    started = DebianRegistry(tmp_path_factory.mktemp("shared") / "registry")
    yield started
    started.close()


@pytest.fixture
def place(server: DebianRegistry) -> str:
    """A repository of one's own."""
    return f"{server.host}/team/{uuid.uuid4().hex[:12]}"


def finished(done: Done) -> dict[str, Any]:
    assert done.code == 0, done.out + done.err
    (event,) = [event for event in done.events if event["event"] == "build-finished"]
    return event


def ran(done: Done) -> list[str]:
    assert done.code == 0, done.out + done.err
    return [event["text"] for event in done.events if event["event"] == "step-started"]


def warnings(done: Done) -> list[str]:
    return [event["message"] for event in done.events if event["event"] == "notice" and event["level"] == "warning"]


def put(project: Project, place: str, *lines: str) -> dict[str, Any]:
    done = project.build(*lines, options=("--cache-to", place))
    assert not warnings(done), warnings(done)
    return finished(done)


@pytest.mark.user
def test_a_first_build_runs_nothing_and_gives_the_same_image(machine, place: str):
    first = put(machine(), place, *STEPS)
    there = machine()
    done = there.build(options=("--cache-from", place, "--locked"))
    again = finished(done)
    assert (ran(done), warnings(done)) == ([], [])
    assert (again["image"], again["ran"], again["cached"]) == (first["image"], 0, first["ran"])
    started = there.command("run", "web")
    assert started.out == "hello\n", started.err
    assert there.command("fsck").code == 0
    # What it took is on record: the next build needs no registry.
    assert finished(there.build())["ran"] == 0


def test_only_what_nobody_ran_runs(machine, place: str):
    put(machine(), place, *STEPS)
    there = machine()
    done = there.build(*STEPS, "run echo more > /more", options=("--cache-from", place))
    # A test runs on the stage as it is in the end.
    assert ran(done) == ["run echo more > /more", "test test -f /srv/app/main"]
    plain = machine()
    assert finished(plain.build())["image"] == finished(done)["image"]
    there.write("app/main", "other")
    done = there.build(options=("--cache-from", place))
    assert ran(done) == ["copy app/ -> /srv/app/", "run echo more > /more", "test test -f /srv/app/main"]


def test_a_lock_is_not_needed(machine, place: str):
    first = put(machine(), place, *STEPS)
    there = machine()
    (there.folder / "web.env.lock").unlink()
    done = there.build(options=("--cache-from", place))
    assert (ran(done), finished(done)["image"]) == ([], first["image"])


def test_what_a_stage_needs_of_another_is_looked_up_without_its_files(machine, place: str, server: DebianRegistry):
    first = put(machine(), place, *STAGES)
    there = machine()
    before = len(server.requests("GET"))
    done = there.build(options=("--cache-from", place))
    assert (ran(done), finished(done)["image"]) == ([], first["image"])
    fetched = [path for path in server.requests("GET")[before:] if "/blobs/" in path]
    # One for busybox, which is too large for a record.
    assert len(fetched) <= 2, fetched
    done = there.build(*STAGES, "run cat /opt/tool", options=("--cache-from", place))
    assert ran(done) == ["run cat /opt/tool"]


def test_a_step_that_copies_from_a_stage_runs_on_what_was_fetched(machine, place: str):
    put(machine(), place, *STAGES)
    there = machine()
    changed = tuple(line.replace("/opt/", "/other/").replace("/opt", "/other") for line in STAGES)
    done = there.build(*changed, options=("--cache-from", place))
    assert ran(done) == ["copy(from=tools) /out/tool -> /other/tool", "run cat /other/tool > /copied"]
    assert there.cat("/copied") == "tool\n"


def test_two_that_write_at_once_lose_nothing(machine, place: str):
    machines = [machine(), machine()]
    names = ("one.env", "two.env")
    for name in names:
        machines[0].write(name, "from tar:busybox.tar", *STEPS[:3], *[f"run echo {name} {n} > /n{n}" for n in range(3)])
    done: list[Done] = []
    writers = [
        Thread(target=lambda each=each, name=name: done.append(each.build(name=name, options=("--cache-to", place))))
        for each, name in zip(machines, names, strict=True)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [warnings(each) for each in done] == [[], []]
    there = machine()
    for name in names:
        assert ran(there.build(name=name, options=("--cache-from", place))) == []


def test_what_is_there_is_not_sent_again(machine, place: str, server: DebianRegistry):
    first = machine()
    put(first, place, *STEPS)
    before = len(server.requests("PUT"))
    put(first, place)
    put(machine(), place)
    assert server.requests("PUT")[before:] == []


def test_twenty_steps_cost_no_twenty_round_trips(machine, place: str, server: DebianRegistry):
    lines = [f"run echo {number} > /n{number}" for number in range(20)]
    put(machine(), place, *lines)

    def asked(*more: str) -> int:
        before = len(server.requests("GET"))
        done = machine().build("from tar:busybox.tar", *lines, *more, options=("--cache-from", place))
        assert ran(done) == list(more)
        return len([path for path in server.requests("GET")[before:] if "/manifests/" in path])

    # The base with the chain of the stage; those that may be there by other names are asked for in parallel.
    assert asked() <= 2
    # Another recipe by now: the chain that begins with the same step.
    assert asked("run echo more > /more") <= 6


def test_a_result_that_is_made_anew_takes_the_place_of_the_old_one(machine, place: str):
    recipe = ("run cat /proc/sys/kernel/random/uuid > /random",)
    put(machine(), place, *recipe)
    second = machine()
    done = second.build(options=("--no-cache", "--cache-to", place, "--cache-from", place))
    assert ran(done) == list(recipe)
    assert finished(machine().build(options=("--cache-from", place)))["image"] == finished(done)["image"]


def test_what_depends_on_a_secret_is_not_shared(machine, place: str):
    first = machine()
    lines = ("run(secret=token) cat /run/secrets/token > /token", "run echo 1 > /after")
    secret = ("--secret", "token")
    done = first.build(*lines, options=(*secret, "--cache-to", place), token="a")
    assert finished(done)["ran"] == 3
    done = machine().build(options=(*secret, "--cache-from", place), token="b")
    # The second step stands on another tree then.
    assert ran(done) == list(lines)


def test_a_name_with_a_tag_is_refused(machine, place: str):
    done = machine().build(*STEPS, options=("--cache-from", f"{place}:1"))
    assert done.code == 2
    assert "leave the tag out" in done.err


def test_there_is_no_network_offline(machine, place: str):
    there = machine()
    there.write(".config/envbuild/cache.toml", f"from = '{place}'", f"to = '{place}'")
    done = there.build(*STEPS, options=("--offline",))
    assert (len(ran(done)), warnings(done)) == (5, [])
    assert "leave out one of the two" in there.build(options=("--offline", "--cache-from", place)).err
    assert "leave the tag out" not in there.build(options=("--offline", "--cache-from", "none")).err


def test_the_caches_of_steps_travel_where_that_is_asked_for(machine, place: str):
    step = "run(cache=/c) mkdir -p /c/d && echo {} >> /c/d/x && chown 50:50 /c/d/x && cat /c/d/x > /seen"
    shared = ("--cache-from", place, "--cache-to", place)
    assert finished(machine().build(step.format(1), options=(*shared, "--cache-mounts")))["ran"] == 2
    there = machine()
    done = there.build(step.format(2), options=(*shared, "--cache-mounts"))
    assert (warnings(done), there.cat("/seen")) == ([], "1\n2\n")
    # The last one is right; what is here already is not written over; and nobody gets what nobody asked for.
    last = machine()
    assert not warnings(last.build(step.format(3), options=(*shared, "--cache-mounts")))
    assert last.cat("/seen") == "1\n2\n3\n"
    assert not warnings(there.build(step.format(4), options=(*shared, "--cache-mounts")))
    assert there.cat("/seen") == "1\n2\n4\n"
    alone = machine()
    assert not warnings(alone.build(step.format(5), options=shared))
    assert alone.cat("/seen") == "5\n"


def test_a_bisect_of_commits_runs_no_step_that_somebody_ran(machine, place: str):
    here = machine()
    git = Git(here)
    git("init", "--quiet", "--initial-branch=main")
    here.write(".gitignore", "base/", ".config/", "*.lock")
    (here.folder / "busybox.tar").unlink()
    (here.folder / "base" / "busybox.tar").rename(here.folder / "busybox.tar")
    for number, text in enumerate(("good", "good", "bad", "bad")):
        put(here, place, f"run echo {text} > /a; printf 'RA%s' N", f"run echo {number} > /b; printf 'RA%s' N")
        git.commit(f"commit {number}")
    there = machine()
    there.write(".config/envbuild/cache.toml", "patience = 60", f'from = ["{place}"]')
    done = there.command("bisect", "--commits", "HEAD~3..", "web", "--", "grep", "-q", "good", "/a")
    assert (done.code, "RAN" in done.err) == (0, False), done.err
    assert f"{git('rev-parse', 'HEAD~1')[:12]} is the first bad commit" in done.out


def test_a_traced_run_counts_on_a_tree_that_only_the_cache_has(place, project, tmp_path):
    """The tree before the last step comes from the cache; the step ran here, on another one."""
    early, last = "run echo {} > /early", "run mkdir -p /last && echo 1 > /last/file"
    project.build(early.format("mine"), last, options=("--trace",))
    theirs = Project(project.folder, tmp_path / "theirs")
    theirs.environment["HOME"] = project.environment["HOME"]
    finished(theirs.build(early.format("shared"), options=("--cache-to", place)))
    done = project.build(early.format("shared"), last, options=("--trace", "--cache-from", place))
    assert ran(done) == []
    assert [event["text"] for event in done.of("step-reused")] == [last]
    assert project.command("run", "web", "--", "cat", "/early", "/last/file").out == "shared\n1\n"
    assert project.command("fsck").code == 0
    image = finished(done)["image"]
    assert finished(project.build(options=("--no-cache", "--cache-from", "none")))["image"] == image
