"""What becomes of a process between its start and its command, as a list of system calls that the launcher makes.

Nothing of Python has to be forked for them: a step's first process and its command are the launcher from their first
moment on (launcher.py). The order of the calls is that of child.py, and so are the reasons for it.
"""

from __future__ import annotations

import os
import struct

from envbuild.linux import syscalls
from envbuild.linux.native import DATA, DATA_SIZE
from envbuild.record import Record
from envbuild.sandbox import capabilities
from envbuild.sandbox.child import MOST_PROCESSES
from envbuild.sandbox.launcher import REPORTS
from envbuild.sandbox.user_lookup import Identity

_NUMBERS = {
    "x86_64": {
        "prctl": 157,
        "setsid": 112,
        "umask": 95,
        "setrlimit": 160,
        "setgroups": 116,
        "setresgid": 119,
        "setresuid": 117,
        "capset": 126,
        "chdir": 80,
        "close_range": syscalls.CLOSE_RANGE,
    },
    "aarch64": {
        "prctl": 167,
        "setsid": 157,
        "umask": 166,
        "setrlimit": 164,
        "setgroups": 159,
        "setresgid": 149,
        "setresuid": 147,
        "capset": 91,
        "chdir": 49,
        "close_range": syscalls.CLOSE_RANGE,
    },
}
_EXECUTE, _FORK = -1, -2
_ORDER = struct.Struct("=7qQ")
_RLIMIT_NPROC = 6
_TITLE = b"envbuild-init\0"
FIRST_WRITE = 4096
"""Every pipe takes so many bytes before somebody reads (pipe(7))."""


class Orders(Record):
    """The bytes for the launcher, and the number of the order that changes into the working directory."""

    content: bytes
    chdir: int


def fits(directory: str, groups: tuple[int, ...], program: bytes) -> bool:
    """Whether a command's orders have room where the launcher reads them to."""
    return len(os.fsencode(directory)) + 4 * len(groups) + len(program) < DATA_SIZE - 8192


def orders_for(identity: Identity, directory: str, *, program: bytes, single: bool, last_capability: int) -> Orders:
    """Return the orders for a step's process 1, which forks its command and reaps.

    `program` is the system call filter, `single` whether there is one id only, `last_capability` the highest number
    of a capability that the kernel knows.
    """
    script = _Script()
    script.call("close_range", REPORTS + 1, 0xFFFFFFFF)
    script.call("prctl", syscalls.PR_SET_DUMPABLE, 0)
    script.call("prctl", syscalls.PR_SET_NAME, script.put(_TITLE))
    script.special(_FORK)
    script.call("setsid")
    script.call("umask", 0o022)
    script.call("setrlimit", _RLIMIT_NPROC, script.put(struct.pack("=2Q", MOST_PROCESSES, MOST_PROCESSES)))
    for number in capabilities.unbound(last_capability):
        script.call("prctl", syscalls.PR_CAPBSET_DROP, number)
    if not single:
        groups = identity.groups
        script.call("setgroups", len(groups), script.put(struct.pack(f"={len(groups)}I", *groups)) if groups else 0)
        script.call("setresgid", identity.gid, identity.gid, identity.gid)
    if program:
        described = struct.pack("=H6xQ", len(program) // 8, script.put(program))
        script.call("prctl", syscalls.PR_SET_SECCOMP, syscalls.SECCOMP_MODE_FILTER, script.put(described))
    if identity.uid != 0 and not single:
        script.call("setresuid", identity.uid, identity.uid, identity.uid)
    else:
        header, data = syscalls.capset_arguments(capabilities.mask())
        script.call("capset", script.put(header), script.put(data))
    chdir = script.call("chdir", script.put(os.fsencode(directory) + b"\0"))
    script.special(_EXECUTE)
    return Orders(script.content(), chdir)


class _Script:
    """Orders and the data that they point to, which lie behind them."""

    def __init__(self) -> None:
        self._numbers = _NUMBERS[os.uname().machine]
        self._orders: list[tuple[int, ...]] = []
        self._data = bytearray()
        self._room = 4096

    def put(self, data: bytes) -> int:
        """Keep some data; return the address that it will have."""
        self._data += bytes(-len(self._data) % 8)
        address = DATA + self._room + len(self._data)
        self._data += data
        return address

    def call(self, name: str, *arguments: int) -> int:
        """Add a system call; return its number among the orders."""
        self._orders.append((self._numbers[name], *arguments, *(0,) * (6 - len(arguments))))
        return len(self._orders) - 1

    def special(self, what: int) -> None:
        self._orders.append((what, 0, 0, 0, 0, 0, 0))

    def content(self) -> bytes:
        orders = b"".join([_ORDER.pack(*order, 0) for order in self._orders])
        assert len(orders) <= self._room
        return orders.ljust(self._room, b"\0") + self._data
