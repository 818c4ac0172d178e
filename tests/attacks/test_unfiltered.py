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

pytestmark = [pytest.mark.namespaces, pytest.mark.user]
HERE = Path(__file__).parent
INSIDE = HERE / "inside"
WITH_A_KEY = str(HERE / "with_a_key.py")


def program(name: str) -> tuple[str, ...]:
    """Returns the words that run a program of `inside/` with the image's Python."""
    return "python3", "-c", (INSIDE / f"{name}.py").read_text()


@pytest.fixture(scope="module")
def with_python(tmp_path_factory):
    """An image with Python, of this machine's packages."""
    from tests.conftest import Project

    folder = tmp_path_factory.mktemp("unfiltered")
    project = Project(folder, folder / "store")
    done = project.build("from host(python3)")
    assert done.code == 0, done.err
    return project


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers of x86-64's system calls")
def test_the_callers_keys_are_not_there(with_python):
    words = ["-m", "envbuild", "run", "--unfiltered", "web", "--", *program("find_the_key")]
    outside = subprocess.run(
        [sys.executable, WITH_A_KEY, str(INSIDE / "find_the_key.py")], capture_output=True, text=True, check=False
    )
    if outside.stdout != "True\n":
        pytest.skip("this machine gives no session keyring")
    done = subprocess.run(
        [sys.executable, WITH_A_KEY, *words],
        cwd=with_python.folder,
        env=with_python.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "False\n", done.stderr


@pytest.mark.root
def test_it_can_not_lift_its_own_limit(with_python):
    if not os.access("/sys/fs/cgroup/memory", os.W_OK):
        pytest.skip("no memory control group of version 1")
    done = with_python.command("run", "--unfiltered", "--memory", "100m", "web", "--", *program("lift_the_limit"))
    assert done.code == 0, done.err
    assert "wrote" not in done.out, done.out
    assert "refused memory.limit_in_bytes" in done.out


def test_sockets_past_the_network_namespace_are_refused(with_python):
    done = with_python.command("run", "web", "--", *program("open_sockets"))
    assert json.loads(done.out) == {"vsock": 1, "xdp": 1, "inet": 0, "unix": 0, "netlink": 0}


def test_what_the_kernel_tells_of_the_host_is_masked(with_python):
    for words in ((), ("--network", "host")):
        paths = (*MASKED, *(MASKED_OF_HOST if words else ()))
        done = with_python.command("run", *words, "web", "--", *program("show_contents"), *paths)
        assert done.code == 0, done.err
        rows = done.out.splitlines()
        assert len(rows) >= 3
        assert not [row for row in rows if not row.endswith((" []", " 0"))]


def test_nothing_of_the_hosts_control_groups_is_left(with_python):
    """Neither of a run that ended, nor shown to one."""
    assert not [path for path in glob.glob("/sys/fs/cgroup/**/envbuild-*", recursive=True) if not os.listdir(path)]
    done = with_python.command("run", "web", "--", *program("show_contents"), "/sys/fs/cgroup")
    assert done.out == "/sys/fs/cgroup []\n"
    assert Path("/sys/fs/cgroup").is_dir()
