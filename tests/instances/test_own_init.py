"""init=none: a command is process 1 itself, and all that an instance can do works beside it."""

import json
import os
from pathlib import Path

import pytest

from tests.conftest import wait_for
from tests.instances.instances import printed, run, state, with_single_id

pytestmark = pytest.mark.namespaces

WAITING = "trap 'echo bye; exit 3' TERM; trap 'echo winch' WINCH; echo ready $$; while :; do sleep 0.05; done"


def lines(image, name: str = "one") -> list[str]:
    return printed(image, name).splitlines()


@pytest.mark.user
def test_it_is_process_1_and_sees_no_other(image):
    done = image.command(
        "run", "--init", "none", "web", "--", "sh", "-c", "echo $$ $container; set -- /proc/[0-9]*; echo $*"
    )
    assert (done.code, done.out) == (0, "1 envbuild\n/proc/1\n")
    ordinary = image.command("run", "web", "--", "sh", "-c", "echo $$ $container")
    assert ordinary.out == "2\n"


def test_what_proc_hides_it_hides_there_too(image):
    show = "cut -d' ' -f2,4 /proc/mounts | grep ^/proc | sort"
    usual = image.command("run", "web", "--", "sh", "-c", show).out
    assert "/proc/sys ro" in usual
    assert image.command("run", "--init", "none", "web", "--", "sh", "-c", show).out == usual


def test_an_instance_of_it_is_like_any_other(image):
    run(image, "--init", "none", "-p", "127.0.0.1:0:80", "web", "--", "sh", "-c", WAITING)
    assert wait_for(lambda: lines(image) == ["ready 1"])
    inside = image.command("exec", "one", "--", "sh", "-c", "echo $PPID; head -c 2 /proc/1/cmdline; echo x > /by-hand")
    assert (inside.code, inside.out) == (0, "0\nsh")
    assert image.command("kill", "-s", "WINCH", "one").code == 0
    assert wait_for(lambda: "winch" in lines(image))
    # What it has no handler for means nothing to process 1 (kill(2)).
    image.command("kill", "-s", "USR1", "one")
    assert image.command("cp", "one:/by-hand", ".").code == 0
    assert image.command("clone", "one", "--name", "two").code == 0
    assert wait_for(lambda: lines(image, "two") == ["ready 1"])
    assert image.command("stop", "one").code == 0
    assert (state(image)["code"], lines(image)[-1]) == (3, "bye")
    assert image.command("start", "one").code == 0
    assert wait_for(lambda: lines(image)[-1] == "ready 1")


def test_orphans_are_its_own_to_reap(image):
    # The shell of the exec leaves a process to process 1, which is the command.
    run(image, "--init", "none", "web", "--", "sh", "-c", WAITING)
    assert wait_for(lambda: lines(image) == ["ready 1"])
    image.command("exec", "one", "--", "sh", "-c", "sleep 100 >/dev/null 2>&1 & echo $! > /left")
    parent = image.command("exec", "one", "--", "sh", "-c", "grep PPid /proc/$(cat /left)/status").out
    assert parent.split() == ["PPid:", "1"]


def test_its_end_is_the_end_of_all_that_it_started(image):
    done = image.command("run", "--init", "none", "web", "--", "sh", "-c", "sleep 100 & exit 7")
    assert done.code == 7


def test_the_recipe_says_it_for_its_own_command(image):
    start = f"start(init=none) {WAITING}"
    assert image.build("stop TERM", start).code == 0
    assert image.show()["facts"]["init"] == "none"
    run(image, "web")
    assert wait_for(lambda: lines(image) == ["ready 1"])
    assert image.command("run", "web", "--", "sh", "-c", "echo $$").out == "2\n"
    assert image.command("run", "--init", "none", "web", "--", "sh", "-c", "echo $$").out == "1\n"
    assert image.build(start, "unset start").code == 0
    assert "init" not in image.show()["facts"]
    refused = image.build("start(init=no) x")
    assert (refused.code, "'no' is not a valid init" in refused.err) == (2, True)


def test_a_services_file_says_it(image):
    command = json.dumps(["sh", "-c", "echo $$$$; sleep 100"])
    image.write(
        "up.yaml",
        "services:",
        *(
            line
            for name, init in (("a", "false"), ("b", "none"), ("c", "true"))
            for line in (f"  {name}:", "    image: web", f"    command: {command}", f"    init: {init}")
        ),
    )
    done = image.command("up", "up.yaml", "--name", "shop")
    assert done.code == 0, done.err
    for name, number in (("a", "1"), ("b", "1"), ("c", "2")):
        assert wait_for(lambda: lines(image, f"shop-{name}") == [number])  # noqa: B023
    assert image.command("down", "shop").code == 0


@pytest.mark.user
def test_with_a_single_id_and_with_networks(image):
    done = with_single_id(image, "run", "--init", "none", "web", "--", "sh", "-c", "echo $$")
    assert (done.returncode, done.stdout) == (0, "1\n")
    run(image, "--init", "none", "--network", "shop", "web", "--", "sh", "-c", WAITING, name="two")
    answer = image.command(
        "run", "--init", "none", "--network", "shop", "web", "--", "sh", "-c", "echo $$; grep -c two /etc/hosts"
    )
    assert answer.out == "1\n1\n", answer.err
    assert image.command("run", "--init", "none", "--network", "host", "web", "--", "sh", "-c", "echo $$").out == "1\n"


def test_systemd_is_given_empty_directories(image):
    script = ("    #!/bin/sh", "    ls -A /run; stat -c %a /run /run/lock")
    lines = ("run mkdir -p /run/old", "file(mode=0755) /lib/systemd/systemd", *script)
    assert image.build(*lines, 'start(init=none) ["/lib/systemd/systemd"]').code == 0
    assert image.command("run", "web").out.split() == ["lock", "755", "1777"]
    assert image.command("run", "--init", "envbuild", "web").out.startswith("old\n")


@pytest.mark.user
def test_systemd_is_given_a_control_group_of_its_own(image):
    if os.geteuid() or not any(" - cgroup2 " in line for line in Path("/proc/self/mountinfo").read_text().splitlines()):
        pytest.skip("only root may make one here, in control groups of version 2")
    script = (
        "    #!/bin/sh",
        "    cat /proc/self/cgroup; mkdir /sys/fs/cgroup/mine; echo 1 > /sys/fs/cgroup/mine/cgroup.procs",
    )
    lines = ("file(mode=0755) /lib/systemd/systemd", *script, "    cat /proc/self/cgroup; sleep 100")
    assert image.build(*lines, 'start(init=none) ["/lib/systemd/systemd"]').code == 0
    run(image, "--memory", "1g", "web")
    assert wait_for(lambda: "0::/mine" in printed(image))
    shown = [line for line in printed(image).splitlines() if line.startswith("0::")]
    assert shown == ["0::/", "0::/mine"]
    # Nothing of it stays, and nothing that others could reach was shown.
    listed = image.command("exec", "one", "--", "ls", "/sys/fs/cgroup").out.split()
    assert "mine" in listed
    kept = (image.store / "instances" / state(image)["id"] / "cgroups").read_text().split()
    assert image.command("kill", "one").code == 0
    image.command("wait", "one")
    assert wait_for(lambda: not any(map(os.path.exists, kept)))
