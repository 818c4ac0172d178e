"""Files of a machine that programs write by themselves, of other files or of nothing that anybody set: a comparison of
two captures counts them, and does not list them.

What package managers write is in debian/left_behind; here is what daemons and the tools for accounts do. A row is here
only if no person is known to edit the file, and if losing sight of a change in it hides nothing: what decides who may
do what never is.
"""

from __future__ import annotations

import re

from envbuild.debian.left_behind import expression, is_record
from envbuild.tree.entry import DIRECTORY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container

    from envbuild.tree.diff import Change

GENERATED: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "what passwd(5), group(5) and their like were before",
        ("etc/passwd-", "etc/group-", "etc/shadow-", "etc/gshadow-", "etc/subuid-", "etc/subgid-"),
    ),
    ("locks", ("etc/.pwd.lock", "var/lib/dpkg/lock*", "var/lib/apt/daily_lock")),
    ("compiled Python", ("usr/**/__pycache__/*.pyc", "opt/**/__pycache__/*.pyc", "var/lib/**/__pycache__/*.pyc")),
    ("when a timer last ran", ("var/lib/systemd/timers/stamp-*",)),
    ("seeds of random numbers", ("var/lib/systemd/random-seed", "var/lib/urandom/random-seed")),
    (
        "what systemd makes of all packages' files",
        ("usr/lib/udev/hwdb.bin", "etc/udev/hwdb.bin", "var/lib/systemd/catalog/database"),
    ),
    (
        "what systemd keeps of its services",
        (
            "var/lib/systemd/backlight/",
            "var/lib/systemd/rfkill/",
            "var/lib/systemd/linger-state/",
            "var/lib/systemd/coredump/",
            "var/lib/systemd/timesync/clock",
            "var/lib/systemd/pstore/",
        ),
    ),
    ("leases and states of networks", ("var/lib/dhcp/", "var/lib/dhcpcd/", "var/lib/NetworkManager/")),
    ("how far the clock drifts", ("etc/adjtime", "var/lib/chrony/", "var/lib/ntp/", "var/lib/ntpsec/")),
    ("what rotates logs", ("var/lib/logrotate/",)),
    ("indexes of files and manuals", ("var/lib/mlocate/", "var/lib/plocate/", "var/lib/man-db/")),
    ("what PackageKit and its like keep", ("var/lib/PackageKit/", "var/lib/command-not-found/")),
    ("modules' dependencies, by depmod(8)", ("usr/lib/modules/*/modules.*.bin", "usr/lib/modules/*/modules.dep")),
)
"""Why, and the paths, in the form that debian/left_behind has."""


_COMPILED = re.compile(rb"(.*)__pycache__/([^/]+?)\.[\w-]+(?:\.opt-\d)?\.pyc")
_CERTIFICATES = "etc/ssl/certs/"
"""Who is trusted: what a package's script changed there is the package's, and all else is to be seen."""


class GeneratedFiles:
    """The rules, compiled once for a comparison of which `changed` are all paths that differ."""

    def __init__(self, changed: Container[bytes]) -> None:
        self._changed = changed
        paths = [path for _, rows in GENERATED for path in rows]
        # One expression: each takes a millisecond to compile.
        expressions = [expression(path) + (".+" if path.endswith("/") else "") for path in paths]
        self._pattern = re.compile("|".join(expressions), re.DOTALL)

    def has(self, change: Change) -> bool:
        """Return whether a path that differs is one that programs write by themselves."""
        entries = [entry for entry in (change.before, change.after) if entry is not None]
        path = change.path
        if any(entry.kind == DIRECTORY for entry in entries):
            return all(entry.kind == DIRECTORY for entry in entries) and path.endswith(b"/__pycache__")
        compiled = _COMPILED.fullmatch(path)
        if compiled is not None and len(entries) == 2 and compiled[1] + compiled[2] + b".py" not in self._changed:
            return False  # Python compiles again only what changed: this is run in place of its source
        name = path.decode("utf-8", "surrogateescape")
        return self._pattern.fullmatch(name) is not None or (is_record(name) and not name.startswith(_CERTIFICATES))
