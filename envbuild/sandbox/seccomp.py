"""The seccomp filter of a sandbox: which system calls a command may not make, as classic BPF (seccomp(2)).

A list of what is refused, as the user namespace already bounds what the rest can do. Calls of another
architecture, of the x32 kind too, do not exist inside: their numbers mean other calls.
"""

from __future__ import annotations

import errno
import os
import struct

from envbuild.linux.syscalls import (
    CLONE_FS,
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    CLONE_VFORK,
    CLONE_VM,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
NAMESPACE_FLAGS = (
    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET
)
TIOCSTI, TIOCLINUX = 0x5412, 0x541C
AF_VSOCK, AF_XDP = 40, 44
"""Families of sockets that no network namespace holds: between virtual machines and their host, and past the network's
own code to a device."""
F_SETLEASE = 1024
"""A lease holds up whoever opens the file, for 45 seconds if its holder does not mind (fcntl(2)). Instances of one
image may share its files, and the store uses them, too."""
PERSONALITIES = (0x0, 0x0008, 0x20000, 0x20008, 0xFFFFFFFF)
"""What docker's default profile lets personality(2) be given: Linux, 32 bits, UNAME26, and asking."""

_EVERYWHERE = {
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "mount_setattr": 442,
    "quotactl_fd": 443,
    "open_tree_attr": 467,
}
REFUSED = {
    "x86_64": {
        **_EVERYWHERE,
        "syslog": 103,
        "uselib": 134,
        "ustat": 136,
        "sysfs": 139,
        "vhangup": 153,
        "pivot_root": 155,
        "_sysctl": 156,
        "acct": 163,
        "settimeofday": 164,
        "mount": 165,
        "umount2": 166,
        "swapon": 167,
        "swapoff": 168,
        "reboot": 169,
        "iopl": 172,
        "ioperm": 173,
        "create_module": 174,
        "init_module": 175,
        "delete_module": 176,
        "get_kernel_syms": 177,
        "query_module": 178,
        "quotactl": 179,
        "nfsservctl": 180,
        "lookup_dcookie": 212,
        "clock_settime": 227,
        "kexec_load": 246,
        "add_key": 248,
        "request_key": 249,
        "keyctl": 250,
        "unshare": 272,
        "perf_event_open": 298,
        "fanotify_init": 300,
        "open_by_handle_at": 304,
        "clock_adjtime": 305,
        "setns": 308,
        "finit_module": 313,
        "kexec_file_load": 320,
        "bpf": 321,
        "userfaultfd": 323,
    },
    "aarch64": {
        **_EVERYWHERE,
        "lookup_dcookie": 18,
        "umount2": 39,
        "mount": 40,
        "pivot_root": 41,
        "nfsservctl": 42,
        "vhangup": 58,
        "quotactl": 60,
        "acct": 89,
        "unshare": 97,
        "kexec_load": 104,
        "init_module": 105,
        "delete_module": 106,
        "clock_settime": 112,
        "syslog": 116,
        "reboot": 142,
        "settimeofday": 170,
        "add_key": 217,
        "request_key": 218,
        "keyctl": 219,
        "swapon": 224,
        "swapoff": 225,
        "perf_event_open": 241,
        "fanotify_init": 262,
        "open_by_handle_at": 265,
        "clock_adjtime": 266,
        "setns": 268,
        "finit_module": 273,
        "bpf": 280,
        "userfaultfd": 282,
        "kexec_file_load": 294,
    },
}
SPECIAL = {
    "x86_64": {"clone": 56, "clone3": 435, "ioctl": 16, "fcntl": 72, "personality": 135, "socket": 41},
    "aarch64": {"clone": 220, "clone3": 435, "ioctl": 29, "fcntl": 25, "personality": 92, "socket": 198},
}
OWNERSHIP = {
    "x86_64": {
        "chown": 92,
        "fchown": 93,
        "lchown": 94,
        "setuid": 105,
        "setgid": 106,
        "setreuid": 113,
        "setregid": 114,
        "setgroups": 116,
        "setresuid": 117,
        "setresgid": 119,
        "setfsuid": 122,
        "setfsgid": 123,
        "fchownat": 260,
    },
    "aarch64": {
        "fchownat": 54,
        "fchown": 55,
        "setregid": 143,
        "setgid": 144,
        "setreuid": 145,
        "setuid": 146,
        "setresuid": 147,
        "setresgid": 149,
        "setfsuid": 151,
        "setfsgid": 152,
        "setgroups": 159,
    },
}
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
X32_BIT = 0x40000000

_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO, _USER_NOTIFICATION = 0x7FFF0000, 0x00050000, 0x7FC00000
_NR, _ARCH, _ARGUMENTS = 0, 4, 16
_FEW = 3
"""As many numbers are compared one after the other."""


def filter_program(*, pretend_ownership: bool, notified: Collection[int] = (), machine: str | None = None) -> bytes:
    """Return the filter for this machine's architecture, ready for the kernel; b"" where its numbers are not known.

    With `pretend_ownership` calls that change owners and ids succeed and do nothing: for a namespace with a single
    id, where they could only fail. The filter's listener is told of the calls with the numbers `notified`,
    if there are any, and then of new threads, too.
    """
    machine = machine or os.uname().machine
    if machine not in AUDIT_ARCH:
        return b""
    special = SPECIAL[machine]
    rules = [
        _statement(_LOAD, _ARCH),
        _jump(_JUMP_EQUAL, AUDIT_ARCH[machine], 1, 0),
        _statement(_RETURN, _ERRNO | errno.ENOSYS),
        _statement(_LOAD, _NR),
    ]
    if machine == "x86_64":
        rules += [_jump(_JUMP_AT_LEAST, X32_BIT, 0, 1), _statement(_RETURN, _ERRNO | errno.ENOSYS)]
    notify = _statement(_RETURN, _USER_NOTIFICATION)
    verdicts = {number: [notify] for number in notified}
    verdicts |= {number: [_refuse()] for number in REFUSED[machine].values()}
    if pretend_ownership:
        verdicts |= {number: [_statement(_RETURN, _ERRNO)] for number in OWNERSHIP[machine].values()}
    # A filter can't see behind clone3's pointer: without it libraries use clone, whose flags are plain.
    verdicts[special["clone3"]] = [_statement(_RETURN, _ERRNO | errno.ENOSYS)]
    namespaces = [_jump(_JUMP_ANY_BIT, NAMESPACE_FLAGS, 0, 1), _refuse()]
    threads = [
        _jump(_JUMP_ANY_BIT, CLONE_FS, 2, 0),
        _jump(_JUMP_ANY_BIT, CLONE_VFORK, 2, 0),  # it waits until its memory is its own again
        _jump(_JUMP_ANY_BIT, CLONE_VM, 0, 1),
        notify,
    ]
    verdicts[special["clone"]] = _on_argument(0, [*namespaces, *(threads if notified else ())])
    verdicts[special["ioctl"]] = _on_argument(1, _refuse_any(TIOCSTI, TIOCLINUX))
    verdicts[special["fcntl"]] = _on_argument(1, _refuse_any(F_SETLEASE))
    verdicts[special["socket"]] = _on_argument(0, _refuse_any(AF_VSOCK, AF_XDP))
    known = len(PERSONALITIES)
    allowed = [_jump(_JUMP_EQUAL, persona, known - place, 0) for place, persona in enumerate(PERSONALITIES)]
    verdicts[special["personality"]] = _on_argument(0, [*allowed, _refuse()])
    return b"".join([*rules, *_search(sorted(verdicts.items()))])


def _search(verdicts: list[tuple[int, list[bytes]]]) -> list[bytes]:
    """Return rules that find a call's number among these by halving; a number that is not there is allowed.

    The kernel remembers which numbers are allowed whatever their arguments, and asks the program for the others alone
    (Linux 5.11); of those, ioctl and fcntl are called often.
    """
    if len(verdicts) <= _FEW:
        rules = [rule for number, body in verdicts for rule in (_jump(_JUMP_EQUAL, number, 0, len(body)), *body)]
        return [*rules, _allow()]
    middle = len(verdicts) // 2
    lower = _search(verdicts[:middle])
    return [_jump(_JUMP_AT_LEAST, verdicts[middle][0], len(lower), 0), *lower, *_search(verdicts[middle:])]


def _refuse_any(*values: int) -> list[bytes]:
    return [rule for value in values for rule in (_jump(_JUMP_EQUAL, value, 0, 1), _refuse())]


def _on_argument(argument: int, body: list[bytes]) -> list[bytes]:
    """Return rules with the low half of an argument loaded; what none of them refuses is allowed."""
    return [_statement(_LOAD, _ARGUMENTS + 8 * argument), *body, _allow()]


def _allow() -> bytes:
    return _statement(_RETURN, _ALLOW)


def _refuse() -> bytes:
    return _statement(_RETURN, _ERRNO | errno.EPERM)


def _statement(code: int, value: int) -> bytes:
    return struct.pack("=HBBI", code, 0, 0, value)


def _jump(code: int, value: int, if_true: int, if_false: int) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
