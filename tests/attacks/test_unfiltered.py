"""13.7 and 13.8: what an instance without the filter of system calls can reach, as root and as another user."""

from __future__ import annotations

import glob
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from envbuild.sandbox.mounts import MASKED, MASKED_OF_HOST
from tests.instances.test_ports import PYTHON

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.user,
    pytest.mark.skipif(not os.path.exists("/usr/bin/python3"), reason="there is no /usr/bin/python3"),
]
HERE = Path(__file__).parent
INSIDE = HERE / "inside"
WITH_A_KEY = str(HERE / "with_a_key.py")


def program(name: str) -> tuple[str, ...]:
    """Returns an image and the words that run a program of `inside/` in it, with the host's Python."""
    return *PYTHON, "web", "--", "/usr/bin/python3", "-c", (INSIDE / f"{name}.py").read_text()


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers of x86-64's system calls")
def test_the_callers_keys_are_not_there(image):
    words = ["-m", "envbuild", "run", "--unfiltered", *program("find_the_key")]
    outside = subprocess.run(
        [sys.executable, WITH_A_KEY, str(INSIDE / "find_the_key.py")], capture_output=True, text=True, check=False
    )
    if outside.stdout != "True\n":
        pytest.skip("this machine gives no session keyring")
    done = subprocess.run(
        [sys.executable, WITH_A_KEY, *words],
        cwd=image.folder,
        env=image.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "False\n", done.stderr


@pytest.mark.root
def test_it_can_not_lift_its_own_limit(image):
    if not os.access("/sys/fs/cgroup/memory", os.W_OK):
        pytest.skip("no memory control group of version 1")
    done = image.command("run", "--unfiltered", "--memory", "100m", *program("lift_the_limit"))
    assert done.code == 0, done.err
    assert "wrote" not in done.out, done.out
    assert "refused memory.limit_in_bytes" in done.out


def test_sockets_past_the_network_namespace_are_refused(image):
    done = image.command("run", *program("open_sockets"))
    assert json.loads(done.out) == {"vsock": 1, "xdp": 1, "inet": 0, "unix": 0, "netlink": 0}


def test_what_the_kernel_tells_of_the_host_is_masked(image):
    for words in ((), ("--network", "host")):
        paths = (*MASKED, *(MASKED_OF_HOST if words else ()))
        done = image.command("run", *words, *program("show_contents"), *paths)
        assert done.code == 0, done.err
        rows = done.out.splitlines()
        assert len(rows) >= 3
        assert not [row for row in rows if not row.endswith((" []", " 0"))]


def test_nothing_of_the_hosts_control_groups_is_left(image):
    """Neither of a run that ended, nor shown to one."""
    assert not [path for path in glob.glob("/sys/fs/cgroup/**/envbuild-*", recursive=True) if not os.listdir(path)]
    done = image.command("run", *program("show_contents"), "/sys/fs/cgroup")
    assert done.out == "/sys/fs/cgroup []\n"
    assert Path("/sys/fs/cgroup").is_dir()
