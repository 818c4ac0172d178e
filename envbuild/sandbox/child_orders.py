"""What becomes of a process between its start and its command, as a list of system calls that the launcher makes.

Nothing of Python has to be forked for them: a step's first process and its command are the launcher from their first
moment on (launcher.py). The order of the calls is that of child.py, and so are the reasons for it.
"""

from __future__ import annotations

import os
import struct

from envbuild.errors import fields
from envbuild.linux import syscalls
from envbuild.linux.native import DATA, DATA_SIZE
from envbuild.linux.sockets import CMSG_LEN, CMSG_SPACE, SCM_RIGHTS, SOL_SOCKET
from envbuild.record import Record
from envbuild.sandbox import capabilities
from envbuild.sandbox.child import MAX_PROCESSES, candidates
from envbuild.sandbox.launcher import ORDERS, REPORTS
from envbuild.sandbox.spec import Request, SandboxFailure
from envbuild.sandbox.user_lookup import Identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


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
        "mount": 165,
        "write": 1,
        "recvmsg": 47,
        "dup3": 292,
        "close_range": syscalls.CLOSE_RANGE,
        "close": 3,
        "sendmsg": 46,
        "seccomp": 317,
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
        "mount": 40,
        "write": 64,
        "recvmsg": 212,
        "dup3": 24,
        "close_range": syscalls.CLOSE_RANGE,
        "close": 57,
        "sendmsg": 211,
        "seccomp": 277,
    },
}
_EXECUTE, _FORK, _READ = -1, -2, -3
_ORDER = struct.Struct("=7qQ")
_RLIMIT_NPROC = 6
_TITLE = b"envbuild-init\0"
MORE, OUTPUT = 5, 6
LISTENER = ORDERS
"""The number that the listener of a traced step's filter has, before it is handed over."""
"""The socket on which a step's process 1 gets the second part of its orders, after the descriptor that takes the
command's output, which becomes the first free one."""
READY = b"r"
"""What process 1 says when the first part is done."""


@fields
class CommandTooLong(SandboxFailure):
    """More words and variables than execve(2) is given."""

    def text(self) -> tuple[str, str]:
        return "the command and its environment are longer than the system takes", ""


class Orders(Record):
    """The bytes for the launcher, and the number of the order that changes into the working directory."""

    content: bytes
    chdir: int


def first_orders(proc: str) -> bytes:
    """Return the orders for a step's process 1 before it is known what will run: mount its /proc at `proc`, as only a
    process of its own namespace can, and wait for the others."""
    script = _Script(16)
    script.call("close_range", MORE + 1, 0xFFFFFFFF)
    script.call("prctl", syscalls.PR_SET_DUMPABLE, 0)
    script.call("prctl", syscalls.PR_SET_NAME, script.put(_TITLE))
    kind = script.put(b"proc\0")
    flags = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
    script.call("mount", kind, script.put(os.fsencode(proc) + b"\0"), kind, flags)
    script.call("write", REPORTS, script.put(READY), len(READY))
    # struct iovec, the space for one descriptor, and struct msghdr (recvmsg(2)).
    part = script.put(struct.pack("=2Q", script.put(b"\0"), 1))
    space = CMSG_SPACE(4)
    message = struct.pack("=QI4xQQQQI4x", 0, 0, part, 1, script.put(bytes(space)), space, 0)
    script.call("recvmsg", MORE, script.put(message))
    script.special(_READ, MORE)
    return script.content()


def orders_for(
    request: Request, identity: Identity, *, program: bytes, single: bool, last_capability: int, listener: int = 0
) -> Orders:
    """Return the orders for a step's process 1, which forks its command and reaps.

    `program` is the system call filter, `single` whether there is one id only, `last_capability` the highest number
    of a capability that the kernel knows. With `listener`, flags of seccomp(2), the filter's listener comes back on the
    socket of the orders. Raises SandboxFailure where there are more words than a program can be given.
    """
    script = _Script(72)
    for target in (1, 2):
        script.call("dup3", OUTPUT, target)
    if listener:
        # So that what seccomp(2) opens will have this number.
        script.call("close", LISTENER)
        script.call("close_range", MORE + 1, 0xFFFFFFFF)
    else:
        script.call("close_range", REPORTS + 1, 0xFFFFFFFF)
    script.special(_FORK)
    script.call("setsid")
    script.call("umask", 0o022)
    script.call("setrlimit", _RLIMIT_NPROC, script.put(struct.pack("=2Q", MAX_PROCESSES, MAX_PROCESSES)))
    for number in capabilities.unbound(last_capability):
        script.call("prctl", syscalls.PR_CAPBSET_DROP, number)
    if not single:
        groups = identity.groups
        script.call("setgroups", len(groups), script.put(struct.pack(f"={len(groups)}I", *groups)) if groups else 0)
        script.call("setresgid", identity.gid, identity.gid, identity.gid)
    if program:
        described = struct.pack("=H6xQ", len(program) // 8, script.put(program))
        if listener:
            script.call("seccomp", syscalls.SECCOMP_SET_MODE_FILTER, listener, script.put(described))
            script.call("sendmsg", MORE, _message_with(script, LISTENER))
            script.call("close_range", LISTENER, 0xFFFFFFFF)
        else:
            script.call("prctl", syscalls.PR_SET_SECCOMP, syscalls.SECCOMP_MODE_FILTER, script.put(described))
    if identity.uid != 0 and not single:
        script.call("setresuid", identity.uid, identity.uid, identity.uid)
    else:
        header, data = syscalls.capset_arguments(capabilities.mask())
        script.call("capset", script.put(header), script.put(data))
    chdir = script.call("chdir", script.put(os.fsencode(request.directory) + b"\0"))
    environment = tuple(f"{name}={value}" for name, value in dict(request.environment).items())
    words = [script.texts(texts) for texts in ((*candidates(request), ""), request.argv, environment)]
    script.special(_EXECUTE, *words)
    content = script.content()
    if len(content) > DATA_SIZE:
        raise CommandTooLong
    return Orders(content, chdir)


def _message_with(script: _Script, descriptor: int) -> int:
    """Return the address of what sendmsg(2) is given to send a descriptor and a byte."""
    part = script.put(struct.pack("=2Q", script.put(b"\0"), 1))
    rights = script.put(struct.pack("=QiiI4x", CMSG_LEN(4), SOL_SOCKET, SCM_RIGHTS, descriptor))
    return script.put(struct.pack("=QI4xQQQQI4x", 0, 0, part, 1, rights, CMSG_SPACE(4), 0))


class _Script:
    """Orders and the data that they point to, which lie behind them."""

    def __init__(self, most: int) -> None:
        """`most` is how many orders there are at most."""
        self._numbers = _NUMBERS[os.uname().machine]
        self._orders: list[tuple[int, ...]] = []
        self._data = bytearray()
        self._room = most * _ORDER.size

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

    def special(self, what: int, *arguments: int) -> None:
        """Add what is no system call."""
        self._orders.append((what, *arguments, *(0,) * (6 - len(arguments))))

    def texts(self, texts: Sequence[str]) -> int:
        """Keep texts as execve(2) takes them; return the address of their addresses."""
        places = [self.put(os.fsencode(text) + b"\0") for text in texts]
        return self.put(struct.pack(f"={len(places) + 1}Q", *places, 0))

    def content(self) -> bytes:
        orders = b"".join([_ORDER.pack(*order, 0) for order in self._orders])
        assert len(orders) <= self._room
        return orders.ljust(self._room, b"\0") + self._data
