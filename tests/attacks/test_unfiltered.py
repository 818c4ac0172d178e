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

WITH_A_KEY = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
assert libc.syscall(250, 1, None) > 0                       # keyctl(KEYCTL_JOIN_SESSION_KEYRING)
assert libc.syscall(248, b"user", b"of-the-caller", b"secret", 6, -3) > 0     # add_key(2), to the session's
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
FIND_THE_KEY = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
print(libc.syscall(250, 10, ctypes.c_long(-3), b"user", b"of-the-caller", 0) > 0)   # keyctl(KEYCTL_SEARCH)
"""
LIFT_THE_LIMIT = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
assert libc.unshare(0x10000000 | 0x20000 | 0x02000000) == 0, ctypes.get_errno()      # user, mount, cgroup
for name, text in (("setgroups", "deny"), ("uid_map", "0 0 1"), ("gid_map", "0 0 1")):
    open(f"/proc/self/{name}", "w").write(text)
os.makedirs("/tmp/groups")
assert libc.mount(b"none", b"/tmp/groups", b"cgroup", 0, b"memory") == 0, ctypes.get_errno()
for name in ("memory.memsw.limit_in_bytes", "memory.limit_in_bytes", "cgroup.procs"):
    try:
        with open(f"/tmp/groups/{name}", "w") as file:
            file.write("-1" if "limit" in name else "0")
        print("wrote", name)
    except OSError as error:
        print("refused", name)
"""


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
    words = ["-m", "envbuild", "run", "--unfiltered", "web", "--", "python3", "-c", FIND_THE_KEY]
    outside = subprocess.run(
        [sys.executable, "-c", WITH_A_KEY, "-c", FIND_THE_KEY], capture_output=True, text=True, check=False
    )
    if outside.stdout != "True\n":
        pytest.skip("this machine gives no session keyring")
    done = subprocess.run(
        [sys.executable, "-c", WITH_A_KEY, *words],
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
    done = with_python.command("run", "--unfiltered", "--memory", "100m", "web", "--", "python3", "-c", LIFT_THE_LIMIT)
    assert done.code == 0, done.err
    assert "wrote" not in done.out, done.out
    assert "refused memory.limit_in_bytes" in done.out


FAMILIES = """
import json, socket
found = {}
for name, number in (("vsock", 40), ("xdp", 44), ("inet", 2), ("unix", 1), ("netlink", 16)):
    try:
        socket.socket(number, socket.SOCK_RAW if name in ("xdp", "netlink") else socket.SOCK_STREAM).close()
        found[name] = 0
    except OSError as error:
        found[name] = error.errno
print(json.dumps(found))
"""


def test_sockets_past_the_network_namespace_are_refused(with_python):
    done = with_python.command("run", "web", "--", "python3", "-c", FAMILIES)
    assert json.loads(done.out) == {"vsock": 1, "xdp": 1, "inet": 0, "unix": 0, "netlink": 0}


def test_what_the_kernel_tells_of_the_host_is_masked(with_python):
    script = "import os, sys\nfor path in sys.argv[1:]:\n    if os.path.isdir(path): print(path, os.listdir(path))\n"
    script += "    elif os.path.exists(path): print(path, len(open(path, 'rb').read(1)))"
    for words in ((), ("--network", "host")):
        paths = (*MASKED, *(MASKED_OF_HOST if words else ()))
        done = with_python.command("run", *words, "web", "--", "python3", "-c", script, *paths)
        assert done.code == 0, done.err
        rows = done.out.splitlines()
        assert len(rows) >= 3
        assert not [row for row in rows if not row.endswith((" []", " 0"))]


def test_nothing_of_the_hosts_control_groups_is_left(with_python):
    """Neither of a run that ended, nor shown to one."""
    assert not [path for path in glob.glob("/sys/fs/cgroup/**/envbuild-*", recursive=True) if not os.listdir(path)]
    done = with_python.command("run", "web", "--", "python3", "-c", "import os; print(os.listdir('/sys/fs/cgroup'))")
    assert done.out == "[]\n"
    assert Path("/sys/fs/cgroup").is_dir()
