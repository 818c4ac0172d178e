"""Which numbers of other users an ordinary user was given: subuid(5), subgid(5), newuidmap(1)."""

from __future__ import annotations

import os

MAPPERS = ("newuidmap", "newgidmap")


def subordinate_range(path: str, uid: int) -> tuple[int, int] | None:
    """Return (first, count) of the user's first range in /etc/subuid or /etc/subgid."""
    import pwd  # never for root

    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except (FileNotFoundError, PermissionError, UnicodeDecodeError):
        return None
    for line in lines:
        owner, _, rest = line.partition(":")
        first, _, count = rest.partition(":")
        if owner in (name, str(uid)) and _is_number(first) and _is_number(count) and int(count) > 0:
            return int(first), int(count)
    return None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 10


def find_program(name: str) -> str | None:
    """Return where a program lies: in $PATH, or where Debian has those of administrators."""
    for folder in (*os.get_exec_path(), "/usr/bin", "/usr/sbin", "/bin", "/sbin"):
        path = os.path.join(folder, name)
        if os.access(path, os.X_OK):
            return path
    return None


def why_not_range(uid: int) -> str:
    """Return what an ordinary user lacks for a range of ids, "" if nothing."""
    missing = [name for name in MAPPERS if find_program(name) is None]
    if missing:
        return f"{missing[0]} is not installed"
    for path in ("/etc/subuid", "/etc/subgid"):
        if subordinate_range(path, uid) is None:
            return f"{path} has no range for this user"
    return ""


def has_single_id(uid: int) -> bool:
    """Tell whether a sandbox of this user has one id only, so that changes of owner are answered and not done."""
    return uid != 0 and why_not_range(uid) != ""
