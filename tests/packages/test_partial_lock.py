"""What was resolved by a build that failed is what the next try of the same statement installs."""

import os
import signal

import pytest

from tests.conftest import installs_of, wait_for
from tests.packages.repository import Repository

pytestmark = [pytest.mark.namespaces, pytest.mark.mirror, pytest.mark.slow, pytest.mark.usefixtures("small_mirror")]


READY = "from image:python"
"""A base that no `update` and no `--no-cache` makes again."""


@pytest.fixture
def own(server, tmp_path) -> Repository:
    made = Repository(server, tmp_path / "own")
    made.add("own-clock", "1.0-1")
    return made


def locked(project) -> dict[str, str]:
    installs = installs_of(project.folder / "web.env.lock")
    return {package["name"]: package["version"] for install in installs for package in install["packages"]}


def asked(server) -> int:
    """How often the index was asked for since the last time."""
    count = sum(path.endswith("/Release") for path, _ in server.asked)
    server.asked.clear()
    return count


def test_a_retry_takes_the_same_versions_and_asks_nobody(debian, own, server):
    statement = f'apt(source="{own.source}") own-clock'
    assert debian.build(READY, statement, "run echo fails; exit 1").code == 1
    assert asked(server) == 1
    own.add("own-clock", "2.0-1")
    # The next try fails as well, with or without the cache.
    for options in ((), ("--no-cache",)):
        assert debian.build(READY, statement, "run echo fails again; exit 1", options=options).code == 1
    assert not (debian.folder / "web.env.lock").exists()
    done = debian.build(READY, statement, "run cat /usr/share/own-clock/text", options=("--no-cache",))
    assert (done.code, done.printed[-6:]) == (0, "1.0-1\n"), done.out
    assert asked(server) == 0
    assert locked(debian) == {"own-clock": "1.0-1"}
    # A build that succeeded has the lock, and keeps nothing beside it.
    (debian.folder / "web.env.lock").unlink()
    assert debian.build().code == 0
    assert locked(debian) == {"own-clock": "2.0-1"}


def test_an_edited_statement_and_an_update_ask_anew(debian, own, server):
    own.add("own-data", "1.0-1")
    statement = f'apt(source="{own.source}") own-clock'
    fails = "run echo this fails too; exit 1"
    assert debian.build(READY, statement, fails).code == 1
    own.add("own-clock", "2.0-1")
    assert debian.build(READY, f"{statement} own-data", fails).code == 1
    assert asked(server) == 2
    assert debian.build(READY, f"{statement} own-data", "run cat /usr/share/own-clock/text").printed[-6:] == "2.0-1\n"
    (debian.folder / "web.env.lock").unlink()
    assert debian.build(READY, statement, fails).code == 1
    own.add("own-clock", "3.0-1")
    assert debian.command("update", "web.env").code == 1
    assert debian.build(READY, statement).code == 0
    assert locked(debian) == {"own-clock": "3.0-1"}


def test_what_a_failing_edit_resolved_is_kept_beside_the_lock(debian, own, server):
    own.add("own-data", "1.0-1")
    statement = f'apt(source="{own.source}") own-clock'
    assert debian.build(READY, statement).code == 0
    own.add("own-clock", "2.0-1")
    assert debian.build(READY, f"{statement} own-data", "run echo not yet; exit 1").code == 1
    own.add("own-data", "2.0-1")
    asked(server)
    assert debian.build(READY, f"{statement} own-data").code == 0
    assert asked(server) == 0
    assert locked(debian) == {"own-clock": "1.0-1", "own-data": "1.0-1"}


def test_a_build_that_is_killed_keeps_what_it_had_resolved(debian, own, server, mark):
    statement = f'apt(source="{own.source}") own-clock'
    debian.write("web.env", READY, statement, f"run echo here; sleep {mark}")
    process = debian.start("build", "web.env", "--progress", "json")
    assert process.stdout is not None
    wait_for(lambda: b"here" in process.stdout.readline(), 60)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    own.add("own-clock", "2.0-1")
    asked(server)
    assert debian.build(READY, statement).code == 0
    assert asked(server) == 0
    assert locked(debian) == {"own-clock": "1.0-1"}
