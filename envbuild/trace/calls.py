"""The system calls whose outcome tells of a tree, and what each asks of it.

Numbers come from the kernel's tables (arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h). Calls
on a descriptor are not among them: what it stands for was opened by its path, and counts as read whole.
"""

from __future__ import annotations

import os

from envbuild.record import NamedTuple
from envbuild.trace.observed import FOLLOW, LINK_ALONE, OPENED
from envbuild.trace.reads import ATTRIBUTES, CONTENT, LISTING, RIGHTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

AT_FDCWD = 0xFFFFFF9C
_AT_SYMLINK_NOFOLLOW, _AT_REMOVEDIR, _AT_SYMLINK_FOLLOW = 0x100, 0x200, 0x400
_O_PATH, _O_TMPFILE = 0o10000000, 0o20000000
_O_NOFOLLOW = os.O_NOFOLLOW
_OPEN_FLAGS = os.O_ACCMODE | os.O_CREAT | os.O_EXCL | os.O_TRUNC | os.O_DIRECTORY | _O_NOFOLLOW | _O_PATH | _O_TMPFILE

_LATE = {
    "openat2": 437,
    "faccessat2": 439,
    "fchmodat2": 452,
    "setxattrat": 463,
    "getxattrat": 464,
    "listxattrat": 465,
    "removexattrat": 466,
    "file_getattr": 468,
    "file_setattr": 469,
}
NUMBERS = {
    "x86_64": {
        **_LATE,
        "open": 2,
        "stat": 4,
        "lstat": 6,
        "access": 21,
        "connect": 42,
        "sendto": 44,
        "bind": 49,
        "execve": 59,
        "truncate": 76,
        "chdir": 80,
        "fchdir": 81,
        "rename": 82,
        "mkdir": 83,
        "rmdir": 84,
        "creat": 85,
        "link": 86,
        "unlink": 87,
        "symlink": 88,
        "readlink": 89,
        "chmod": 90,
        "chown": 92,
        "lchown": 94,
        "ptrace": 101,
        "utime": 132,
        "mknod": 133,
        "statfs": 137,
        "chroot": 161,
        "setxattr": 188,
        "lsetxattr": 189,
        "getxattr": 191,
        "lgetxattr": 192,
        "listxattr": 194,
        "llistxattr": 195,
        "removexattr": 197,
        "lremovexattr": 198,
        "utimes": 235,
        "inotify_add_watch": 254,
        "openat": 257,
        "mkdirat": 258,
        "mknodat": 259,
        "fchownat": 260,
        "futimesat": 261,
        "newfstatat": 262,
        "unlinkat": 263,
        "renameat": 264,
        "linkat": 265,
        "symlinkat": 266,
        "readlinkat": 267,
        "fchmodat": 268,
        "faccessat": 269,
        "utimensat": 280,
        "fanotify_mark": 301,
        "name_to_handle_at": 303,
        "process_vm_writev": 311,
        "renameat2": 316,
        "execveat": 322,
        "statx": 332,
    },
    "aarch64": {
        **_LATE,
        "setxattr": 5,
        "lsetxattr": 6,
        "getxattr": 8,
        "lgetxattr": 9,
        "listxattr": 11,
        "llistxattr": 12,
        "removexattr": 14,
        "lremovexattr": 15,
        "inotify_add_watch": 27,
        "mknodat": 33,
        "mkdirat": 34,
        "unlinkat": 35,
        "symlinkat": 36,
        "linkat": 37,
        "renameat": 38,
        "statfs": 43,
        "truncate": 45,
        "faccessat": 48,
        "chdir": 49,
        "fchdir": 50,
        "chroot": 51,
        "fchmodat": 53,
        "fchownat": 54,
        "openat": 56,
        "readlinkat": 78,
        "newfstatat": 79,
        "utimensat": 88,
        "ptrace": 117,
        "bind": 200,
        "connect": 203,
        "sendto": 206,
        "execve": 221,
        "fanotify_mark": 263,
        "name_to_handle_at": 264,
        "process_vm_writev": 271,
        "renameat2": 276,
        "execveat": 281,
        "statx": 291,
    },
}
"""The calls that the tracer is told of. What else knows paths is refused in every sandbox (sandbox/seccomp.py)."""
CLONE_THREAD = 0x10000
CLONE = {"x86_64": 56, "aarch64": 220}
"""The tracer is also told of a clone(2) of a thread, or of a process that shares its working directory."""


class PathCall(NamedTuple):
    """A call with one path: the numbers of its arguments, -1 for none, and the flags that count."""

    path: int
    directory: int = -1
    flags: int = -1
    mask: int = 0


class PairCall(NamedTuple):
    """A call with an old path and a new one."""

    old: PathCall
    new: PathCall


_PLAIN, _AT = PathCall(0), PathCall(1, 0)
PATH_CALLS = {
    **dict.fromkeys(("stat", "lstat", "access", "truncate", "mkdir", "rmdir", "creat", "unlink", "readlink"), _PLAIN),
    **dict.fromkeys(("chmod", "chown", "lchown", "utime", "utimes", "mknod", "statfs"), _PLAIN),
    **dict.fromkeys(("setxattr", "lsetxattr", "getxattr", "lgetxattr", "listxattr", "llistxattr"), _PLAIN),
    **dict.fromkeys(("removexattr", "lremovexattr"), _PLAIN),
    **dict.fromkeys(("mkdirat", "mknodat", "futimesat", "readlinkat", "fchmodat", "faccessat"), _AT),
    "open": PathCall(0, -1, 1, _OPEN_FLAGS),
    "openat": PathCall(1, 0, 2, _OPEN_FLAGS),
    "newfstatat": PathCall(1, 0, 3, _AT_SYMLINK_NOFOLLOW),
    "statx": PathCall(1, 0, 2, _AT_SYMLINK_NOFOLLOW),
    "faccessat2": PathCall(1, 0, 3, _AT_SYMLINK_NOFOLLOW),
    "fchmodat2": PathCall(1, 0, 3, _AT_SYMLINK_NOFOLLOW),
    "fchownat": PathCall(1, 0, 4, _AT_SYMLINK_NOFOLLOW),
    "utimensat": PathCall(1, 0, 3, _AT_SYMLINK_NOFOLLOW),
    "unlinkat": PathCall(1, 0, 2, _AT_REMOVEDIR),
    "name_to_handle_at": PathCall(1, 0, 4, _AT_SYMLINK_FOLLOW),
    "inotify_add_watch": PathCall(1),
    "fanotify_mark": PathCall(4, 3),
    **dict.fromkeys(("setxattrat", "getxattrat", "listxattrat", "removexattrat"), PathCall(1, 0, 2, 0x100)),
    **dict.fromkeys(("file_getattr", "file_setattr"), PathCall(1, 0, 4, _AT_SYMLINK_NOFOLLOW)),
}
PAIR_CALLS = {
    "rename": PairCall(PathCall(0), PathCall(1)),
    "renameat": PairCall(PathCall(1, 0), PathCall(3, 2)),
    "renameat2": PairCall(PathCall(1, 0), PathCall(3, 2)),
    "link": PairCall(PathCall(0), PathCall(1)),
    "linkat": PairCall(PathCall(1, 0, 4, _AT_SYMLINK_FOLLOW), PathCall(3, 2)),
}
LINK_CALLS = {"symlink": PathCall(1), "symlinkat": PathCall(2, 1)}
EXECUTE_CALLS = {"execve": PathCall(0), "execveat": PathCall(1, 0, 4, _AT_SYMLINK_NOFOLLOW)}
SOCKET_CALLS = {"connect": 1, "bind": 1, "sendto": 4}
"""Calls with an address, which may be a path."""
RENAME_EXCHANGE = 2


def opening(flags: int) -> int:
    """Return what open(2) with these flags asks."""
    follow = 0 if flags & _O_NOFOLLOW else FOLLOW
    if flags & _O_PATH:
        return CONTENT | OPENED | follow  # it can be opened anew through /proc/self/fd
    if flags & _O_TMPFILE:
        return RIGHTS | follow
    if flags & os.O_CREAT and flags & os.O_EXCL:
        return RIGHTS
    if flags & os.O_TRUNC and flags & os.O_ACCMODE:
        return RIGHTS | follow
    return CONTENT | OPENED | follow


def _followed(access: int) -> Callable[[int], int]:
    return lambda flags: access if flags else access | FOLLOW


def _always(action: int) -> Callable[[int], int]:
    return lambda _: action


ACTIONS: dict[str, Callable[[int], int]] = {
    **dict.fromkeys(("open", "openat", "openat2"), opening),
    "creat": _always(RIGHTS | FOLLOW),
    **dict.fromkeys(("stat", "newfstatat", "statx", "file_getattr"), _followed(ATTRIBUTES)),
    "lstat": _always(ATTRIBUTES),
    **dict.fromkeys(("access", "faccessat", "faccessat2", "statfs", "inotify_add_watch"), _followed(RIGHTS)),
    **dict.fromkeys(("chdir", "getxattr", "listxattr", "getxattrat", "listxattrat"), _followed(RIGHTS)),
    **dict.fromkeys(("lgetxattr", "llistxattr", "fanotify_mark"), _always(RIGHTS)),
    **dict.fromkeys(("mkdir", "mkdirat", "mknod", "mknodat", "unlink", "symlink", "symlinkat"), _always(RIGHTS)),
    "rmdir": _always(RIGHTS | LISTING),
    "unlinkat": lambda flags: RIGHTS | LISTING if flags else RIGHTS,
    **dict.fromkeys(("readlink", "readlinkat"), _always(CONTENT | LINK_ALONE)),
    "name_to_handle_at": lambda flags: ATTRIBUTES | FOLLOW if flags else ATTRIBUTES,
    # What is changed is in the result with all that it was before.
    **dict.fromkeys(("truncate", "chmod", "chown", "utime", "utimes", "setxattr", "removexattr"), _followed(CONTENT)),
    **dict.fromkeys(("fchmodat", "fchmodat2", "fchownat", "utimensat", "futimesat"), _followed(CONTENT)),
    **dict.fromkeys(("setxattrat", "removexattrat", "file_setattr"), _followed(CONTENT)),
    **dict.fromkeys(("lchown", "lsetxattr", "lremovexattr"), _always(CONTENT)),
    **dict.fromkeys(("execve", "execveat"), _followed(CONTENT)),
}
"""What a call with these of its flags asks."""
