"""System calls that Python 3.11 does not wrap, one function each; every one raises OSError.

Numbers and flags come from the kernel's headers (linux/mount.h, linux/sched.h, linux/prctl.h, asm/unistd.h). The
calls from 424 on have one number on all architectures.
"""

from __future__ import annotations

import errno
import os
import struct

from envbuild.linux.c_calls import (
    Long,
    UnsignedInt,
    UnsignedLong,
    address_of,
    function,
    get_errno,
    python_function,
)

CLONE_VM, CLONE_FS, CLONE_VFORK = 0x100, 0x200, 0x4000
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REC, MS_PRIVATE = 1 << 14, 1 << 18
MNT_DETACH = 2

FSCONFIG_SET_FLAG, FSCONFIG_SET_STRING, FSCONFIG_CMD_CREATE = 0, 1, 6
FSOPEN_CLOEXEC = FSMOUNT_CLOEXEC = 1
OPEN_TREE_CLONE, OPEN_TREE_CLOEXEC = 1, os.O_CLOEXEC
AT_FDCWD, AT_EMPTY_PATH, AT_RECURSIVE, AT_SYMLINK_NOFOLLOW = -100, 0x1000, 0x8000, 0x100
MOVE_MOUNT_F_EMPTY_PATH, MOVE_MOUNT_T_EMPTY_PATH = 4, 0x40
MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC = 1, 2, 4, 8
MOUNT_ATTR_IDMAP = 0x00100000

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NAME, PR_CAPBSET_DROP = 1, 4, 15, 24
PR_SET_SECCOMP, PR_SET_SECUREBITS, PR_SET_NO_NEW_PRIVS = 22, 28, 38
_NO_SETUID_FIXUP, _JOIN_SESSION_KEYRING = 1 << 2, 1
SECCOMP_MODE_FILTER = 2
SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV = 1, 8, 32

_RLIMIT_NPROC = 6
_NUMBERS = {
    "x86_64": {
        "pivot_root": 155,
        "clone": 56,
        "capset": 126,
        "keyctl": 250,
        "seccomp": 317,
        "renameat2": 316,
        "ioprio_set": 251,
    },
    "aarch64": {
        "pivot_root": 41,
        "clone": 220,
        "capset": 91,
        "keyctl": 219,
        "seccomp": 277,
        "renameat2": 276,
        "ioprio_set": 30,
    },
}
OPEN_TREE, MOVE_MOUNT, FSOPEN, FSCONFIG, FSMOUNT, CLOSE_RANGE, MOUNT_SETATTR = 428, 429, 430, 431, 432, 436, 442
OPENAT2 = 437
RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_BENEATH, RESOLVE_IN_ROOT = 0x02, 0x04, 0x08, 0x10
RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2
_IOPRIO_WHO_PROCESS, _IOPRIO_IDLE = 1, 3 << 13

_libc_syscall = function("syscall")


def _number(name: str) -> int:
    try:
        return _NUMBERS[os.uname().machine][name]
    except KeyError:
        raise OSError(38, f"no system call numbers for {os.uname().machine}") from None


def _checked(result: int, what: object = None) -> int:
    if result < 0:
        number = get_errno()
        raise OSError(number, os.strerror(number), what)
    return result


def _call(name: str, *arguments: object, what: object = None) -> int:
    return _checked(function(name)(*arguments), what)


def _syscall(number: int, *arguments: object, what: object = None) -> int:
    return _checked(_libc_syscall(Long(number), *arguments), what)


def unshare(flags: int) -> None:
    """unshare(2)."""
    _call("unshare", flags)


def setns(descriptor: int, kind: int) -> None:
    """setns(2): enters the namespace of this kind (a CLONE_NEW flag) that a descriptor stands for."""
    _call("setns", descriptor, kind)


def clone(flags: int) -> int:
    """clone(2) without a new stack: like fork(2), into new namespaces. Returns 0 in the child.

    Only for a process with a single thread. `flags` include the signal that the parent gets at the child's end.
    """
    zero = Long(0)
    number = Long(_number("clone"))
    # The child goes on as the interpreter that it was, which holds its lock.
    locked_syscall = python_function("syscall")
    before, in_child, in_parent = map(
        python_function, ("PyOS_BeforeFork", "PyOS_AfterFork_Child", "PyOS_AfterFork_Parent")
    )
    # What os.fork() does around fork(2): Python 3.13 aborts where a child gives back locks that nobody took.
    before()
    pid = int(locked_syscall(number, UnsignedLong(flags), zero, zero, zero, zero))
    error = get_errno()
    if pid == 0:
        in_child()
        return 0
    in_parent()
    if pid < 0:
        raise OSError(error, os.strerror(error))
    return pid


def mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    """mount(2)."""
    texts = [None if text is None else os.fsencode(text) for text in (source, target, kind, data)]
    _call("mount", texts[0], texts[1], texts[2], UnsignedLong(flags), texts[3], what=target)


def umount(target: str, flags: int) -> None:
    """umount2(2)."""
    _call("umount2", os.fsencode(target), flags, what=target)


def pivot_root(new: str, old: str) -> None:
    """pivot_root(2)."""
    _syscall(_number("pivot_root"), os.fsencode(new), os.fsencode(old), what=new)


def fsopen(kind: str) -> int:
    """fsopen(2): a context in which a file system is configured. From reading it come the kernel's reasons."""
    return _syscall(FSOPEN, kind.encode(), FSOPEN_CLOEXEC, what=kind)


def fsconfig(context: int, key: str, value: str | None) -> None:
    """fsconfig(2): sets one option; a flag with None."""
    command = FSCONFIG_SET_FLAG if value is None else FSCONFIG_SET_STRING
    encoded = None if value is None else os.fsencode(value)
    _syscall(FSCONFIG, context, command, key.encode(), encoded, 0, what=f"{key}={value}")


def fsmount(context: int, attributes: int) -> int:
    """Create the file system of a context and return a mount of it that is attached nowhere yet."""
    _syscall(FSCONFIG, context, FSCONFIG_CMD_CREATE, None, None, 0)
    return _syscall(FSMOUNT, context, FSMOUNT_CLOEXEC, attributes)


def open_tree(path: str, *, recursive: bool, follow: bool = True) -> int:
    """open_tree(2): a copy of what is mounted at `path`, attached nowhere yet."""
    flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (AT_RECURSIVE if recursive else 0)
    return _syscall(OPEN_TREE, AT_FDCWD, os.fsencode(path), flags | (0 if follow else AT_SYMLINK_NOFOLLOW), what=path)


def open_tree_at(opened: int, *, recursive: bool) -> int:
    """open_tree(2) of what a descriptor stands for."""
    flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0)
    return _syscall(OPEN_TREE, opened, b"", flags)


def move_mount(mounted: int, target: str) -> None:
    """move_mount(2): attaches a mount at a path."""
    _syscall(MOVE_MOUNT, mounted, b"", AT_FDCWD, os.fsencode(target), MOVE_MOUNT_F_EMPTY_PATH, what=target)


def move_mount_onto(mounted: int, directory: int) -> None:
    """move_mount(2): attaches a mount at a directory that is held open."""
    _syscall(MOVE_MOUNT, mounted, b"", directory, b"", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH)


MAX_RACES = 100
"""How often a path with `..` is opened anew: the kernel gives up where anything at all is renamed meanwhile
(openat2(2), EAGAIN)."""


def openat2(directory: int, path: str, flags: int, resolve: int) -> int:
    """openat2(2): opens what is there already, with links followed as `resolve` says."""
    how = struct.pack("=3Q", flags | os.O_CLOEXEC, 0, resolve)
    size = UnsignedLong(len(how))
    for _ in range(MAX_RACES):
        try:
            return _syscall(OPENAT2, directory, os.fsencode(path), how, size, what=path)
        except BlockingIOError:
            continue  # something on the machine was renamed or mounted while the kernel followed a `..`
    return _syscall(OPENAT2, directory, os.fsencode(path), how, size, what=path)


def renameat2(directory: int, old: bytes, new_directory: int, new: bytes, flags: int) -> None:
    """renameat2(2): only where nothing has the new name yet, or so that the two trade places."""
    _syscall(_number("renameat2"), directory, old, new_directory, new, UnsignedInt(flags), what=os.fsdecode(new))


def read_disks_when_idle() -> None:
    """ioprio_set(2) of this process: its reads and writes wait for everybody else's."""
    _syscall(_number("ioprio_set"), _IOPRIO_WHO_PROCESS, 0, _IOPRIO_IDLE)


def mount_setattr(mounted: int, attributes: int, *, recursive: bool) -> None:
    """mount_setattr(2) on a mount that is held open."""
    _mount_setattr(mounted, attributes, 0, recursive)


def shift_ids(mounted: int, namespace: int, *, recursive: bool) -> None:
    """mount_setattr(2) with MOUNT_ATTR_IDMAP, on a mount that is attached nowhere yet: it shows the ids on disk as
    those that a user namespace, held open, maps them to."""
    _mount_setattr(mounted, MOUNT_ATTR_IDMAP, namespace, recursive)


def _mount_setattr(mounted: int, attributes: int, namespace: int, recursive: bool) -> None:
    flags = AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0)
    value = struct.pack("=4Q", attributes, 0, 0, namespace)  # struct mount_attr: to set, to clear, propagation
    _syscall(MOUNT_SETATTR, mounted, b"", flags, value, UnsignedLong(len(value)))


def prctl(option: int, argument: int, second: object = 0) -> None:
    """prctl(2)."""
    _call("prctl", option, UnsignedLong(argument), second, 0, 0)


def limit_processes(count: int) -> None:
    """setrlimit(2) with RLIMIT_NPROC. Not by the module resource, which takes a fifth of a millisecond to import."""
    _call("setrlimit", _RLIMIT_NPROC, struct.pack("2L", count, count))


def join_new_session_keyring() -> None:
    """keyctl(2), KEYCTL_JOIN_SESSION_KEYRING: this process and what it starts have an empty one of their own. A kernel
    without keys has none to hide."""
    try:
        _syscall(_number("keyctl"), Long(_JOIN_SESSION_KEYRING), None)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise OSError(error.errno, f"no keyring of its own: {error.strerror}") from error


def create_files_as(uid: int, gid: int) -> None:
    """Have what this process creates belong to these ids from now on, and leave it all its rights (setfsuid(2); with
    SECBIT_NO_SETUID_FIXUP, capabilities(7), they don't go with root's id). For a process with one thread."""
    prctl(PR_SET_SECUREBITS, _NO_SETUID_FIXUP)
    setfsuid = function("setfsuid")
    function("setfsgid")(gid)
    setfsuid(uid)
    if setfsuid(-1) != uid:  # it has no other way to say that it failed
        raise OSError(1, f"files can't be created as {uid}")


def set_name(name: bytes) -> None:
    """prctl(2) with PR_SET_NAME: what the process is called, 15 bytes."""
    _call("prctl", PR_SET_NAME, name, 0, 0, 0)


def overwrite(address: int, content: bytes) -> None:
    """Write to this process's own memory, at an address that the kernel has told."""
    function("memmove")(UnsignedLong(address), content, UnsignedLong(len(content)))


def set_filter(program: bytes) -> None:
    """Install a seccomp filter, a packed array of struct sock_filter (seccomp(2))."""
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, struct.pack("HP", len(program) // 8, address_of(program)))


def listener_flags() -> int:
    """Return the flags of seccomp(2) for a filter with a listener, as far as the kernel has them (Linux 5.19): a call
    that its listener has taken is interrupted by nothing but the caller's end."""
    flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
    try:
        _syscall(_number("seccomp"), SECCOMP_SET_MODE_FILTER, UnsignedInt(flags), None)
    except OSError as error:
        # It looks at the flags before it looks for the filter.
        return flags if error.errno == errno.EFAULT else SECCOMP_FILTER_FLAG_NEW_LISTENER
    raise AssertionError("a filter that is none was installed")


def syncfs(descriptor: int) -> None:
    """syncfs(2): writes all that was changed on the file system of an open file to disk."""
    _call("syncfs", descriptor)


def capset(permitted: int) -> None:
    """capset(2): these capabilities permitted and effective, none inheritable."""
    header, data = capset_arguments(permitted)
    _syscall(_number("capset"), header, data)


def capset_arguments(permitted: int) -> tuple[bytes, bytes]:
    """Return what capset(2) is given for these capabilities."""
    low, high = permitted & 0xFFFFFFFF, permitted >> 32
    return struct.pack("=2I", 0x20080522, 0), struct.pack("=6I", low, low, 0, high, high, 0)


def close_range(first: int, *, on_exec: bool) -> None:
    """close_range(2): closes all descriptors from `first` on, now or when a program is executed."""
    try:
        _syscall(CLOSE_RANGE, UnsignedInt(first), UnsignedInt(0xFFFFFFFF), UnsignedInt(4 if on_exec else 0))
    except OSError:
        # Before Linux 5.9 (5.11 for the flag); descriptors that Python opened close on exec anyway.
        if not on_exec:
            os.closerange(first, os.sysconf("SC_OPEN_MAX"))
