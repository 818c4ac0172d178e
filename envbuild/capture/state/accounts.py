"""Users and groups, by passwd(5), group(5) and shadow(5). No hash of a password is in it, only whether there is one."""

from __future__ import annotations

from collections.abc import Iterator

from envbuild.capture.machine_root import MachineRoot
from envbuild.linux.passwd import lines_of, read_group, read_passwd

_MAX_BYTES = 16 << 20


def users(root: MachineRoot) -> Iterator[tuple[str, ...]]:
    """Yield name, uid, gid, home, shell, `password`, `no password`, `locked` or `unknown`, and the comment of each
    user."""
    passwords = _passwords(root)
    for account in read_passwd(root.read_text("/etc/passwd", _MAX_BYTES) or ""):
        known = passwords.get(account.name, "unknown")
        yield account.name, str(account.uid), str(account.gid), account.home, account.shell, known, account.comment


def groups(root: MachineRoot) -> Iterator[tuple[str, ...]]:
    """Yield name, gid and members of each group."""
    for group in read_group(root.read_text("/etc/group", _MAX_BYTES) or ""):
        yield group.name, str(group.gid), ",".join(sorted(group.members))


def _passwords(root: MachineRoot) -> dict[str, str]:
    states = {}
    for line in lines_of(root.read_text("/etc/shadow", _MAX_BYTES) or ""):
        name, colon, rest = line.partition(":")
        password = rest.partition(":")[0]
        if colon:
            states[name] = "no password" if not password else "locked" if password[0] in "!*" else "password"
    return states
