"""The capabilities of a command in a sandbox: the set that OCI runtimes give by default, and no other.

They count only against what belongs to the sandbox's own namespaces. Numbers from linux/capability.h.
"""

from __future__ import annotations

from envbuild.linux import syscalls

DEFAULT = {
    "chown": 0,
    "dac_override": 1,
    "fowner": 3,
    "fsetid": 4,
    "kill": 5,
    "setgid": 6,
    "setuid": 7,
    "setpcap": 8,
    "net_bind_service": 10,
    "net_raw": 13,
    "sys_chroot": 18,
    "mknod": 27,
    "audit_write": 29,
    "setfcap": 31,
}
HIGHEST_KNOWN = 63


def mask() -> int:
    """Return the set as a bit mask."""
    return sum(1 << number for number in DEFAULT.values())


def bound() -> None:
    """Take all other capabilities out of the bounding set: no program can bring them back."""
    for number in unbound(HIGHEST_KNOWN):
        try:
            syscalls.prctl(syscalls.PR_CAPBSET_DROP, number)
        except OSError:
            return  # past the last one that this kernel has


def unbound(last: int) -> tuple[int, ...]:
    """Return the numbers up to `last` that go from the bounding set."""
    kept = set(DEFAULT.values())
    return tuple(number for number in range(last + 1) if number not in kept)


def last_of_kernel() -> int:
    """Return the highest number of a capability that the kernel knows."""
    with open("/proc/sys/kernel/cap_last_cap", "rb") as file:
        return int(file.read())


def limit() -> None:
    """Cut root's own sets to the default ones; needed only for root, as another user has none after setuid."""
    syscalls.capset(mask())
