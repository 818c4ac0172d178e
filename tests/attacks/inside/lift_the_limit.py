"""Mounts the control groups of memory in namespaces of its own, and tries to lift its limit there."""

import ctypes
import os
from pathlib import Path

libc = ctypes.CDLL(None, use_errno=True)
assert libc.unshare(0x10000000 | 0x20000 | 0x02000000) == 0, ctypes.get_errno()  # user, mount, cgroup
for name, text in (("setgroups", "deny"), ("uid_map", "0 0 1"), ("gid_map", "0 0 1")):
    Path("/proc/self", name).write_text(text)
os.makedirs("/tmp/groups")
assert libc.mount(b"none", b"/tmp/groups", b"cgroup", 0, b"memory") == 0, ctypes.get_errno()
for name in ("memory.memsw.limit_in_bytes", "memory.limit_in_bytes", "cgroup.procs"):
    try:
        with open(f"/tmp/groups/{name}", "w") as file:
            file.write("-1" if "limit" in name else "0")
        print("wrote", name)
    except OSError:
        print("refused", name)
