"""Limits: what they hold back, what is said where there are none, and that nothing of them stays."""

import glob
import json
import os
import signal
from pathlib import Path

import pytest

from envbuild.instances.config import Limits
from envbuild.instances.limits import SELF, Change, Hierarchy, changes, files_of, hierarchies
from tests.conftest import wait_for
from tests.instances.instances import WAITING, run, state, supervisor_of

SPINNING = "while :; do :; done"


def groups() -> set[str]:
    return set(glob.glob("/sys/fs/cgroup/**/envbuild-*", recursive=True))


@pytest.fixture
def limited(image):
    """Groups can be made here, and none of this test is left in the end."""
    if not any(os.access(f"/sys/fs/cgroup/{name}", os.W_OK) for name in ("memory", "pids", "cgroup.procs")):
        pytest.skip("no control groups of version 1, and none delegated")
    yield image
    for instance in json.loads(image.command("ps", "--all", "--format", "json").out):
        image.command("rm", "--force", instance["id"])
        assert not [path for path in groups() if instance["id"] in path]


@pytest.mark.user
@pytest.mark.root
@pytest.mark.namespaces
class TestReal:
    def test_too_much_memory_ends_the_command_and_ps_says_why(self, limited):
        eat = "x=a; while :; do x=$x$x; done"
        done = limited.command("run", "--memory", "24m", "--keep", "--name", "one", "web", "--", "sh", "-c", eat)
        assert done.code == 137
        ended = state(limited)
        assert (ended["state"], ended["error"]) == ("exited", "it was ended for using more memory than it may")
        assert "it was ended for using more memory" in done.err
        assert limited.command("run", "--memory", "24m", "web", "--", "true").code == 0
        # So little that not even a beginning can be made.
        none = limited.command("run", "-d", "--memory", "1m", "--name", "none", "web", "--", "true")
        assert (none.code, "more memory than it may" in none.err) == (1, True), none.err

    def test_it_is_restarted_as_after_any_other_failure(self, limited):
        script = "echo try >> /tries; x=a; while :; do x=$x$x; done"
        run(limited, "--memory", "24m", "--restart", "on-failure:1", "web", "--", "sh", "-c", script)
        assert limited.command("wait", "one").code == 137
        assert state(limited)["restarts"] == 1
        assert limited.command("cp", "one:/tries", ".").code == 0
        assert (limited.folder / "tries").read_text() == "try\ntry\n"

    def test_a_share_of_a_processor_with_commands_beside_it(self, limited):
        run(limited, "--cpus", "0.2", "web", "--", "sh", "-c", f"{SPINNING} & {WAITING}")
        (group,) = [path for path in groups() if state(limited)["id"] in path]
        assert Path(group, "cpu.cfs_quota_us").read_text() == "20000\n"
        # The kernel counts the periods in which it had to hold it back.
        throttled = lambda: int(Path(group, "cpu.stat").read_text().split()[3])  # noqa: E731
        assert wait_for(lambda: throttled() > 3)
        limited.command("exec", "one", "--", "true")
        inside = len(Path(group, "cgroup.procs").read_text().split())
        process = limited.start("exec", "one", "--", "sleep", "60")
        assert wait_for(lambda: len(Path(group, "cgroup.procs").read_text().split()) > inside)
        process.kill()
        process.wait()
        process.stdout.close()

    def test_a_fork_beyond_the_limit_fails(self, limited):
        script = "for i in 1 2 3 4 5 6; do sleep 30 & done; wait"
        done = limited.command("run", "--pids", "4", "web", "--", "sh", "-c", script)
        assert done.code != 0
        assert "fork" in done.err

    def test_groups_of_a_killed_supervisor_go_with_the_instance_or_its_next_start(self, limited):
        run(limited, "--pids", "50", "web", "--", "sh", "-c", WAITING)
        identity = state(limited)["id"]
        for after in (("start", "one"), ("rm", "--force", "one")):
            (group,) = [path for path in groups() if identity in path]
            os.kill(supervisor_of(limited), signal.SIGKILL)
            assert wait_for(lambda: state(limited)["state"] == "lost")
            assert os.path.isdir(group)
            assert limited.command(*after).code == 0
        assert not [path for path in groups() if identity in path]


@pytest.mark.user
@pytest.mark.namespaces
def test_where_there_are_no_groups_it_runs_and_says_so(image):
    if os.geteuid() == 0:
        pytest.skip("root can make groups of version 1")
    done = image.command("run", "--memory", "64m", "--cpus", "0.5", "--pids", "9", "web", "--", "echo", "runs")
    assert (done.code, done.out) == (0, "runs\n")
    for option in ("--memory", "--cpus", "--pids"):
        assert f"warning: {option} has no effect on this machine" in done.err
    assert "systemd-run --user --scope -p Delegate=yes" in done.err


@pytest.mark.namespaces
@pytest.mark.parametrize("words", [["--memory", "lots"], ["--memory", "0"], ["--cpus", "-1"], ["--pids", "-5"]])
def test_nonsense_is_refused(image, words):
    assert image.command("run", *words, "web", "--", "true").code == 2


V2 = Hierarchy(2, ("cpu", "memory", "pids"), "/sys/fs/cgroup/user.slice/run-1.scope")


class TestVersion2:
    """What would be done where a group of version 2 is delegated: decided here, on no kernel."""

    MOUNTS = (
        "31 23 0:28 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
        "33 31 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
    )

    def test_the_own_group_is_found_and_version_2_preferred(self):
        own = "1:cpu,cpuacct:/there\n0::/user.slice/run-1.scope\n"
        placed = hierarchies(self.MOUNTS, own, lambda path: ["cpu", "memory"])
        assert placed == [
            Hierarchy(2, ("cpu", "memory"), "/sys/fs/cgroup/user.slice/run-1.scope"),
            Hierarchy(1, ("cpu",), "/sys/fs/cgroup/cpu/there"),
        ]

    def test_who_was_moved_into_the_group_beside_finds_the_delegated_one_again(self):
        placed = hierarchies(self.MOUNTS, f"0::/user.slice/run-1.scope/{SELF}\n", lambda path: ["cpu"])
        assert placed[0].path == "/sys/fs/cgroup/user.slice/run-1.scope"

    def test_a_mount_of_a_part_of_the_hierarchy(self):
        mounts = "31 23 0:28 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
        (group,) = hierarchies(mounts, "0::/docker/abc/inner\n", lambda path: [])
        assert group.path == "/sys/fs/cgroup/inner"

    def test_processes_move_out_before_controllers_are_given(self):
        files = files_of(Limits(memory=1 << 20))["memory"][2]
        there = V2.path
        assert changes(V2, "ab12", "memory", files, given=("cpu",), members=("7", "8")) == [
            Change(f"{there}/envbuild"),
            Change(f"{there}/envbuild/cgroup.procs", "7", optional=True),
            Change(f"{there}/envbuild/cgroup.procs", "8", optional=True),
            Change(f"{there}/cgroup.subtree_control", "+memory"),
            Change(f"{there}/envbuild-ab12"),
            Change(f"{there}/envbuild-ab12/memory.max", "1048576"),
            Change(f"{there}/envbuild-ab12/memory.swap.max", "0", optional=True),
        ]

    def test_what_is_given_already_moves_nobody(self):
        files = files_of(Limits(cpus=1.5, pids=10))
        made = Change(f"{V2.path}/envbuild-ab12")
        assert changes(V2, "ab12", "cpu", files["cpu"][2], given=("cpu",), members=("7",)) == [
            made,
            Change(f"{made.path}/cpu.max", "150000 100000"),
        ]
        assert changes(V2, "ab12", "pids", files["pids"][2], given=("pids",)) == [
            made,
            Change(f"{made.path}/pids.max", "11"),
        ]
