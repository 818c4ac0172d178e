"""What running instances use."""

import json
import os
import subprocess
import sys

import pytest

from envbuild.instances.stats import Process, families, parse_process, read_processes, share, usages
from envbuild.instances.stats import Usage as Used
from tests.conftest import wait_for
from tests.instances.instances import WAITING, own_file, run


def stats(project, *words: str) -> dict[str, dict]:
    done = project.command("stats", "--format", "json", *words)
    assert done.code == 0, done.err
    return {state["name"]: state for state in json.loads(done.out)}


@pytest.mark.namespaces
class TestCommand:
    def test_what_each_uses(self, image):
        write = "dd if=/dev/zero of=/big bs=1000000 count=5; mkdir -m 700 /own; echo done > /own/ready"
        run(image, "web", "--", "sh", "-c", f"{write}; while :; do :; done", name="busy")
        run(image, "web", "--", "sh", "-c", "sleep 600 & sleep 600", name="idle")
        assert wait_for(lambda: image.command("exec", "busy", "--", "test", "-e", "/own/ready").code == 0)
        usage = stats(image)
        assert sorted(usage) == ["busy", "idle"]
        assert usage["busy"]["written"] >= 5_000_000 > usage["idle"]["written"]
        assert usage["idle"]["processes"] == 2 or wait_for(lambda: stats(image, "idle")["idle"]["processes"] == 2)
        assert wait_for(lambda: (now := stats(image))["busy"]["cpu_percent"] > now["idle"]["cpu_percent"])
        assert 0 < usage["busy"]["memory"] < 100_000_000
        assert wait_for(lambda: stats(image, "busy")["busy"]["cpu_seconds"] > 0.1)
        table = image.command("stats", "--no-stream").out.splitlines()
        assert table[0].split() == ["NAME", "CPU", "MEMORY", "DISK", "WRITTEN", "NET", "IN", "/", "OUT", "PROCESSES"]
        assert [line.split()[0] for line in table[1:]] == ["busy", "idle"]
        image.command("stop", "--time", "0", "idle")
        assert sorted(stats(image)) == ["busy"]
        assert "idle is not running" in image.command("stats", "idle").err
        assert image.command("stats", "nobody").code == 2

    @pytest.mark.user
    def test_time_of_processes_that_are_over_counts(self, image):
        spin = "i=0; while [ $i -lt 120000 ]; do i=$((i+1)); done"
        run(image, "web", "--", "sh", "-c", f"sh -c '{spin}'; touch /ready; sleep 600")
        assert wait_for(own_file(image, "ready").exists)
        assert stats(image)["one"]["cpu_seconds"] > 0.03

    @pytest.mark.user
    def test_what_other_users_of_the_image_keep_to_themselves_counts(self, image):
        assert image.build("adduser app uid=1234", "run true").code == 0
        script = f"mkdir /own; chown 1234 /own; chmod 700 /own; head -c 3000000 /dev/zero > /own/big; {WAITING}"
        run(image, "web", "--", "sh", "-c", script)
        assert wait_for(lambda: stats(image)["one"]["written"] >= 3_000_000)

    def test_a_live_table_ends_with_ctrl_c(self, image):
        run(image, "web", "--", "sh", "-c", WAITING)
        with subprocess.Popen(
            ["script", "-qec", f"{sys.executable} -m envbuild stats", "/dev/null"],
            cwd=image.folder,
            env={**image.environment, "TERM": "xterm"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as table:
            shown = b""
            while b"PROCESSES" not in shown:
                data = os.read(table.stdout.fileno(), 4096)
                assert data, shown
                shown += data
            shown += table.communicate(b"\x03", timeout=60)[0]
        assert b"Traceback" not in shown
        assert b"error" not in shown


def test_names_of_processes_may_hold_anything():
    text = "42 (a) b) S 7 " + " ".join(["0"] * 9) + " 150 50 20 30 " + " ".join(["0"] * 6) + " 3 " + "0 " * 5
    ticks, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    assert parse_process(text) == Process(42, 7, 200 / ticks, 50 / ticks, 3 * page)


def test_families_are_all_descendants():
    processes = {pid: Process(pid, parent, 0, 0, 0) for pid, parent in ((1, 0), (2, 1), (3, 2), (4, 3), (5, 1))}
    grouped = families(processes, [2, 5])
    assert {ancestor: sorted(process.pid for process in family) for ancestor, family in grouped.items()} == {
        2: [3, 4],
        5: [],
    }


def test_a_share_is_what_was_used_between_two_moments():
    first, second = (Used(at, cpu, 0, 0, 0, None, None) for at, cpu in ((10.0, 1.0), (12.0, 2.0)))
    assert share(first, second) == 0.5
    assert share(None, first) == 0.0
    # It was restarted meanwhile.
    assert share(second.replace(at=9.0), first) == 0.0


def test_this_process_is_among_all():
    assert os.getpid() in read_processes()
    assert usages([]) == {}
