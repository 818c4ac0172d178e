"""One process runs many steps: each finds what the first one found, and none can reach it."""

from __future__ import annotations

import os
import sys

import pytest

from envbuild.sandbox import child_orders, launcher
from envbuild.sandbox.spec import Request, SandboxFailure
from envbuild.sandbox.user_lookup import Identity
from tests.conftest import BUSYBOX
from tests.sandbox.test_sandbox import Box

pytestmark = pytest.mark.namespaces


@pytest.fixture(params=["all", "single"])
def box(request, tmp_path):
    if not BUSYBOX.exists():
        pytest.skip("busybox-static is not installed")
    return Box(tmp_path, request.param == "single", steps=True)


def test_each_step_has_the_same_process_numbers(box):
    answers = box.ask(*[box.request("echo $$; ls /proc | grep '^[0-9]' | head -2 | tr '\\n' ' '") for _ in range(4)])
    assert len({answer["out"] for answer in answers}) == 1
    assert answers[0]["out"].startswith("2\n1 2 ")


def test_nothing_of_a_step_is_left_for_the_next(box):
    first = (
        "echo 1 > /dev/shm/x; echo 1 > /tmp/x; mkdir /dev/mqueue/x; hostname other; ulimit -n 10; cd /etc; umask 0;"
        "(setsid sleep 4810 &); (nc -l -p 5001 &); until grep -q :1389 /proc/net/tcp*; do sleep 0.01; done"
    )
    second = (
        "hostname; ls /dev/shm /tmp; pwd; umask; ulimit -n; ps | grep -c 481[0]; nc -z 127.0.0.1 5001 || echo closed;"
        "cat /proc/sysvipc/shm | wc -l"
    )
    fresh = box.ask(box.request(second))[0]["out"]
    assert box.ask(box.request(first), box.request(second))[1]["out"] == fresh


def test_process_1_tells_nothing_of_the_host(box):
    script = (
        "tr '\\000' ' ' < /proc/1/cmdline; cat /proc/1/comm; cat /proc/1/environ | wc -c; ls /proc/1/fd;"
        "readlink /proc/1/exe /proc/1/cwd; ls /proc/1/root/"
    )
    out = box.run(script, environment=[["PATH", "/bin"]])["out"]
    assert "envbuild-init" in out
    assert str(box.folder) not in out
    assert sys.prefix not in out


def test_a_step_after_one_that_was_ended_or_refused_runs_as_ever(box):
    answers = box.ask(
        box.request("sleep 60", timeout=0.2),
        box.request("echo 1"),
        box.request("", argv=["/none"]),
        box.request("echo 2"),
        box.request("true", directory="/none"),
        box.request("true", binds=[["/no/such/source", "/x"]]),
        box.request("echo 3"),
    )
    assert answers[0]["timed_out"]
    assert [answer["out"] for answer in answers if answer.get("status") == 0] == ["1\n", "2\n", "3\n"]
    assert [("error" in answer) for answer in answers] == [False, False, True, False, True, True, False]


def test_a_step_that_kills_all_it_can_reach_ends_none_but_itself(box):
    answers = box.ask(box.request("kill -9 -1; kill -9 1; sleep 0.05; echo alive"), box.request("echo after"))
    assert answers[1]["out"] == "after\n"


def test_much_output_comes_whole(box):
    answer = box.run("head -c 3000000 /dev/zero | tr '\\000' x; echo end")
    assert answer["out"] == "x" * 3_000_000 + "end\n"


def test_output_that_is_closed_early_is_no_end(box):
    answer = box.run("echo before; exec >/dev/null 2>&1; sleep 0.2; exit 5")
    assert (answer["status"], answer["out"]) == (5, "before\n")


def test_a_long_working_directory(box):
    directory = "/" + "/".join(["d" * 200] * 19)
    os.makedirs(f"{box.layer}{directory}")
    assert box.run("pwd | wc -c", directory=directory)["out"] == f"{len(directory) + 1}\n"


def test_a_server_holds_no_more_files_after_many_steps(box):
    """Each step of a hundred sees how many files its server has open, as the driver reports them."""
    if box.single or os.geteuid() != 0:
        pytest.skip("who is not root can't look into it")
    counts = [answer["files"] for answer in box.ask(*[box.request("true") for _ in range(40)], count_files=True)]
    # The next step is prepared meanwhile: a count may have its files or not. A file that leaks is in all later counts.
    assert min(counts[-10:]) <= max(counts[:10]), counts


class TestOrders:
    def test_they_have_room_before_their_data(self):
        request = Request(("/layer",), ("sh",), (("PATH", "/bin"),), directory="/" * 4000)
        identity = Identity(1, 2, tuple(range(1000)))
        orders = child_orders.orders_for(request, identity, program=bytes(8), single=False, last_capability=63)
        assert len(orders.content) < 20_000

    def test_more_words_than_the_launcher_takes_are_refused(self):
        request = Request(("/layer",), ("sh", "x" * (9 << 20)))
        with pytest.raises(SandboxFailure):
            child_orders.orders_for(request, Identity(0, 0, (0,)), program=b"", single=False, last_capability=40)

    @pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
    def test_each_machine_has_a_program(self, machine):
        assert launcher.program(machine).startswith(b"\x7fELF")
