"""The user namespace that envbuild works in, and which user and group numbers sandboxes have.

The machine's root works in no namespace of its own; the numbers inside its sandboxes are shifted into a range that
nobody else has, so that root inside is nobody outside. An ordinary user is root of a namespace; with a range in
/etc/subuid and /etc/subgid (subuid(5)) and newuidmap(1) the other numbers are there too, without them there is only
the one. Root of a container, who may not shift numbers, maps those that the container has to themselves.
"""

from __future__ import annotations

import errno
import os

from envbuild.errors import MachineLacks, fields
from envbuild.linux import syscalls
from envbuild.linux.own_id import remember_own_id
from envbuild.linux.subids import MAPPERS, find_program, subordinate_range, why_not_range
from envbuild.record import Record

APPARMOR = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
"""1 where AppArmor takes all rights from whoever makes a user namespace, as on Ubuntu since 23.10."""
ALLOW_APPARMOR = "allow it: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"


SHIFTED, CONTAINED, RANGE, SINGLE = "shifted", "root", "range", "single"
FIRST_SHIFTED, COUNT_SHIFTED = 0x70000000, 0x0FFE0000
"""Where the ids of root's sandboxes begin outside, and how many there are: what systemd's table of ids calls unused,
up to its own range for foreign ids (systemd, docs/UIDS-GIDS.md). Above what /etc/subuid gives by default, too."""
_INITIAL_NAMESPACE = 0xEFFFFFFD
"""The inode of the machine's own user namespace (Linux, include/linux/proc_ns.h: PROC_USER_INIT_INO)."""
_CAP_SYS_ADMIN = 21


class IdMap(Record):
    """`kind` is one of the words above; ids from 0 to `count` - 1 exist inside. `reason` is why it is single."""

    kind: str
    count: int
    reason: str = ""

    def rows(self, kind: str) -> str:
        """Return the map of a sandbox's `uid` or `gid`, for a process that is in the namespace above it."""
        if self.kind == SHIFTED:
            return f"0 {FIRST_SHIFTED} {COUNT_SHIFTED}\n"
        # The ids that we have, so that owners look the same inside and outside.
        return _own_map(kind)

    def outside(self, number: int) -> int:
        """Return what an id inside a sandbox is for this process."""
        return number + FIRST_SHIFTED if self.kind == SHIFTED else number

    def inside(self, number: int) -> int:
        """Return what an id that this process sees is inside a sandbox; those that are not there are nobody's."""
        if self.kind != SHIFTED:
            return number
        return number - FIRST_SHIFTED if 0 <= number - FIRST_SHIFTED < COUNT_SHIFTED else NOBODY


NOBODY = 65534
"""What the kernel shows for an id that a namespace does not have (/proc/sys/kernel/overflowuid)."""


@fields
class NoUserNamespace(MachineLacks):
    """The kernel refuses to make a user namespace."""

    reason: str
    mend: str

    def text(self) -> tuple[str, str]:
        return f"this machine does not let envbuild make a user namespace: {self.reason}", self.mend


@fields
class IdsNotMapped(MachineLacks):
    """What gives the namespace its ids was ended by somebody else. To go on with a single id would give other
    results."""

    reason: str

    def text(self) -> tuple[str, str]:
        return (
            f"the process that gives a user namespace its ids was ended{f': {self.reason}' if self.reason else ''}",
            "was it killed, or is there too little memory (dmesg)? Run the same command again",
        )


ENDED = "was ended by signal"


_entered: IdMap | None = None


def enter_user_namespace(*, force_single: bool = False) -> IdMap:
    """Make this process root of a user namespace of its own, unless the machine's root runs it. A second call returns
    what the first did.

    The process may have one thread only. Raises NoUserNamespace.
    """
    global _entered
    if _entered is None:
        remember_own_id()
        _entered = _enter_single("asked for") if force_single else _enter()
    return _entered


def hides_owners() -> bool:
    """Tell whether this process is in a user namespace in which files of the machine's other users look like
    nobody's."""
    return _entered is not None and _entered.kind in (RANGE, SINGLE)


def join_user_namespace(descriptor: int, ids: IdMap) -> IdMap:
    """Make this process root of a user namespace that is there already, instead of one of its own; `ids` are those that
    it has. The process may have one thread only, and belong to whoever made it. Raises OSError."""
    global _entered
    assert _entered is None, "in a user namespace already"
    remember_own_id()
    if ids.kind != SHIFTED:
        syscalls.setns(descriptor, syscalls.CLONE_NEWUSER)
    _entered = ids
    return ids


def _enter() -> IdMap:
    uid = os.geteuid()
    if uid == 0:
        return IdMap(SHIFTED, COUNT_SHIFTED) if _is_root_of_machine() else _enter_as_root()
    reason = why_not_range(uid)
    if reason:
        return _enter_single(reason)
    return _enter_with_range(uid, os.getegid())


def _is_root_of_machine() -> bool:
    """Tell whether this process may give mounts other ids, which only root outside of all user namespaces may
    (mount_setattr(2), MOUNT_ATTR_IDMAP)."""
    if os.stat("/proc/self/ns/user").st_ino != _INITIAL_NAMESPACE:
        return False
    with open("/proc/self/status", encoding="utf-8", errors="replace") as file:
        effective = next((line.split()[1] for line in file if line.startswith("CapEff:")), "0")
    return bool(int(effective, 16) >> _CAP_SYS_ADMIN & 1)


def _enter_as_root() -> IdMap:
    uids, gids = _own_map("uid"), _own_map("gid")
    pid = os.getpid()

    def write() -> None:
        _write(f"/proc/{pid}/uid_map", uids)
        _write(f"/proc/{pid}/gid_map", gids)

    _unshare_with(write)
    count = sum(int(line.split()[2]) for line in uids.splitlines())
    return IdMap(CONTAINED, count)


def _enter_with_range(uid: int, gid: int) -> IdMap:
    users, groups = subordinate_range("/etc/subuid", uid), subordinate_range("/etc/subgid", uid)
    if users is None or groups is None:
        return _enter_single(why_not_range(uid) or "the ranges of this user went away")
    pid = str(os.getpid())

    def write() -> None:
        for mapper, own, (first, count) in ((MAPPERS[0], uid, users), (MAPPERS[1], gid, groups)):
            program = find_program(mapper)
            assert program is not None
            words = [mapper, pid, "0", str(own), "1", "1", str(first), str(count)]
            child = os.posix_spawn(program, words, os.environb)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            if code < 0:
                raise OSError(errno.EINTR, f"{mapper} {ENDED} {-code}")
            if code != 0:
                raise OSError(errno.EPERM, f"{mapper} refused")

    try:
        _unshare_with(write)
    except OSError as error:
        if error.errno != errno.EPERM or "refused" not in str(error):
            raise
        # The namespace is there and has no ids yet: the single one can still be written.
        return _map_single(uid, gid, str(error.strerror))
    return IdMap(RANGE, 1 + min(users[1], groups[1]))


def _enter_single(reason: str) -> IdMap:
    uid, gid = os.geteuid(), os.getegid()
    _unshare()
    return _map_single(uid, gid, reason)


def _map_single(uid: int, gid: int, reason: str) -> IdMap:
    # Without the right to set groups in the parent namespace this has to come before the map (user_namespaces(7)).
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"0 {uid} 1\n")
    _write("/proc/self/gid_map", f"0 {gid} 1\n")
    return IdMap(SINGLE, 1, reason)


def _own_map(kind: str) -> str:
    """Return an identity map over all ids that exist where this process is."""
    # Row by row: one row of a map may not span several of the namespace above (user_namespaces(7)).
    with open(f"/proc/self/{kind}_map", encoding="utf-8") as file:
        rows = [line.split() for line in file]
    return "".join(f"{first} {first} {count}\n" for first, _, count in rows)


def _unshare_with(write: object) -> None:
    """Enter a new user namespace; a child that stays outside calls `write` meanwhile to give it ids."""
    assert callable(write)
    go_read, go_write = os.pipe2(os.O_CLOEXEC)
    told_read, told_write = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        try:
            os.close(go_write)
            if os.read(go_read, 1):
                write()
            os.write(told_write, b"ok")
        except BaseException as error:
            os.write(told_write, str(error).encode(errors="replace")[:4000])
        finally:
            os._exit(0)
    os.close(go_read)
    os.close(told_write)
    try:
        try:
            _unshare()
            try:
                os.write(go_write, b"g")
            except BrokenPipeError:
                pass  # the child was ended: it has told nothing, which says so below
        finally:
            os.close(go_write)
        answer = os.read(told_read, 4096)
    finally:
        os.close(told_read)
        os.waitpid(child, 0)
    if not answer or ENDED.encode() in answer:
        raise IdsNotMapped(answer.decode(errors="replace"))
    if answer != b"ok":
        raise OSError(errno.EPERM, f"refused: {answer.decode(errors='replace')}")


def _unshare() -> None:
    try:
        syscalls.unshare(syscalls.CLONE_NEWUSER)
    except OSError as error:
        raise explain(error) from error


def why_refused(error: OSError) -> str:
    """Return what to do where making a sandbox fails with this error; "" if that is not known."""
    if error.errno == errno.ENOSYS:
        return "envbuild needs Linux 5.12 or later, with user namespaces and overlayfs"
    if error.errno in (errno.EPERM, errno.EACCES) and _read_setting(APPARMOR) == "1":
        # There the namespace is made, and nothing may be done in it.
        return ALLOW_APPARMOR
    return "try: envbuild doctor"


def explain(error: OSError) -> NoUserNamespace:
    """Return why a user namespace can't be made, and what to do."""
    if error.errno in (errno.ENOSPC, errno.EUSERS):
        return NoUserNamespace(
            "the limit on their number is reached", "raise it: sysctl -w user.max_user_namespaces=65536"
        )
    if _read_setting(APPARMOR) == "1":
        return NoUserNamespace("AppArmor restricts it", ALLOW_APPARMOR)
    if _read_setting("/proc/sys/kernel/unprivileged_userns_clone") == "0":
        return NoUserNamespace("a setting forbids it", "allow it: sysctl -w kernel.unprivileged_userns_clone=1")
    if error.errno == errno.ENOSYS:
        return NoUserNamespace("the kernel was built without them", "use a kernel with CONFIG_USER_NS=y")
    return NoUserNamespace(
        os.strerror(error.errno or 0), "in a container, allow it: --security-opt seccomp=unconfined, or run outside"
    )


def _read_setting(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
