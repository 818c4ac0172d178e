"""What dpkg, apt and what they run leave behind in a system beside the files of packages, in one list.

Four places have to know it, and each row says which of them: a new base is made without it (`base`), an installation
removes it in the end (`install`), `drift` takes it for noise (`noise`, by the name of a rule), and `diff` counts it as
a record that package managers keep of what they did (`record`). Where a row is marked in one place and not in another,
that is what trees and their digests have been since the first version: a change of `base` or `install` gives all
images other digests.
"""

from __future__ import annotations

import re
from functools import cache

from envbuild.record import Record

LOGS, CACHES, LISTS, LEFTOVERS, LINKER, IDENTITY = (
    "logs",
    "caches",
    "package lists",
    "package leftovers",
    "linker cache",
    "machine identity",
)
"""The names of drift's rules for what Debian's tools leave behind."""

MACHINE_ID = "etc/machine-id"
"""Emptied, and not removed: systemd draws a new one into it (machine-id(5))."""
LOG_FOLDER = "var/log"
INFO = "var/lib/dpkg/info/"
"""dpkg's own files of each package, which belong to it."""


class Leftover(Record):
    """Paths below the root. In `path` a `*` stands for a part of a name and `**` for anything; with a slash at its end
    it means whatever lies in that folder. `state` marks databases of package managers."""

    path: str
    base: bool = False
    install: bool = False
    noise: str = ""
    record: bool = False
    state: bool = False


LEFT_BEHIND = (
    # Databases: what is installed, and what was asked of whom.
    Leftover("var/lib/dpkg/", record=True, state=True),
    Leftover("var/lib/apt/", record=True, state=True),
    Leftover("var/lib/ucf/", record=True, state=True),
    Leftover("var/lib/pam/", record=True, state=True),
    Leftover("var/lib/systemd/deb-systemd*", record=True),
    Leftover("var/lib/systemd/deb-systemd*/", record=True),
    # Locks.
    Leftover("var/lib/dpkg/lock", base=True, install=True, noise=LEFTOVERS),
    Leftover("var/lib/dpkg/lock-frontend", base=True, install=True, noise=LEFTOVERS),
    Leftover("var/lib/dpkg/triggers/Lock", base=True, install=True, noise=LEFTOVERS),
    Leftover("var/lib/apt/daily_lock", install=True, noise=LEFTOVERS),
    Leftover("etc/.pwd.lock", noise=LEFTOVERS, record=True),
    # Earlier versions.
    Leftover("var/lib/dpkg/*-old", install=True, noise=LEFTOVERS),
    Leftover("var/cache/debconf/*-old", install=True),
    Leftover("var/**-old", base=True),
    Leftover("var/**.dpkg-old", base=True),
    *(
        Leftover(f"etc/{name}-", install=True, noise=LEFTOVERS)
        for name in ("passwd", "group", "shadow", "gshadow", "subuid", "subgid")
    ),
    # Copies of what can be had again.
    Leftover("var/lib/apt/lists/", base=True, noise=LISTS),
    Leftover("var/lib/apt/periodic", noise=LEFTOVERS),
    Leftover("var/cache/", noise=CACHES),
    Leftover("var/cache/apt/", base=True, record=True),
    Leftover("var/cache/apt/*.bin", install=True),
    Leftover("var/cache/ldconfig/", base=True, record=True),
    Leftover("var/cache/ldconfig/aux-cache", install=True),
    Leftover("var/cache/debconf/", record=True),
    Leftover("var/cache/man/", record=True),
    Leftover("var/cache/fontconfig/", record=True),
    # Logs.
    Leftover(f"{LOG_FOLDER}/", base=True, noise=LOGS),
    Leftover(f"{LOG_FOLDER}/apt/", record=True),
    Leftover(f"{LOG_FOLDER}/dpkg.log", install=True),
    Leftover(f"{LOG_FOLDER}/dpkg.log*", record=True),
    Leftover(f"{LOG_FOLDER}/alternatives.log", install=True),
    Leftover(f"{LOG_FOLDER}/alternatives.log*", record=True),
    Leftover(f"{LOG_FOLDER}/bootstrap.log*", record=True),
    Leftover(f"{LOG_FOLDER}/fontconfig.log", install=True),
    # What a machine draws for itself; MACHINE_ID is emptied in a base and after an installation.
    Leftover(MACHINE_ID, noise=IDENTITY),
    Leftover("var/lib/dbus/machine-id", install=True, noise=IDENTITY),
    Leftover("var/lib/systemd/random-seed", install=True, noise=IDENTITY),
    # The key of ssl-cert is not here: what Debian sets up with it, as its PostgreSQL, does not start without.
    Leftover("etc/ssh/ssh_host_*_key", install=True),
    Leftover("etc/ssh/ssh_host_*_key.pub", install=True),
    # What triggers make of the files of all packages.
    Leftover("etc/ld.so.cache", noise=LINKER, record=True),
    Leftover("etc/ssl/certs/ca-certificates.crt*", record=True),
    Leftover("etc/ssl/certs/java/", record=True),
    Leftover("usr/share/info/dir*", record=True),
    Leftover("usr/share/glib-2.0/schemas/gschemas.compiled", record=True),
    Leftover("usr/share/applications/*cache", record=True),
    Leftover("usr/share/mime/", record=True),
    Leftover("usr/share/icons/*/icon-theme.cache", record=True),
    Leftover("usr/lib/gconv/gconv-modules.cache", record=True),
    Leftover("usr/lib/*/gconv/gconv-modules.cache", record=True),
    Leftover("usr/lib/*/gdk-pixbuf-2.0/", record=True),
    Leftover("usr/lib/locale/locale-archive", record=True),
)


def removed_after_installation() -> tuple[str, ...]:
    """Return the patterns of what an installation removes, as a shell takes them."""
    return tuple(f"/{row.path}" for row in LEFT_BEHIND if row.install)


def is_removed_after_installation(path: str) -> bool:
    """Return whether an installation removes what is at `path`."""
    return _pattern("install", inside=False).fullmatch(path) is not None


def noise_patterns(rule: str) -> tuple[str, ...]:
    """Return the patterns of one of drift's rules, in the form that `discard` has."""
    return tuple(f"/{row.path}{'*' if row.path.endswith('/') else ''}" for row in LEFT_BEHIND if row.noise == rule)


def is_left_out_of_base(path: str, *, is_directory: bool) -> bool:
    """Return whether a base is made without the entry at `path`."""
    if _pattern("base", inside=True).fullmatch(path):
        return True
    # A folder that has the name of such a file is something else.
    return not is_directory and _pattern("base", inside=False).fullmatch(path) is not None


def is_record(path: str) -> bool:
    """Return whether package managers write what is at `path` for themselves, whatever packages there are."""
    if path.startswith(INFO):
        return False
    return any(_pattern("record", inside=inside).fullmatch(path) for inside in (True, False))


def is_state(path: str) -> bool:
    """Return whether `path` lies in the database of a package manager."""
    return _pattern("state", inside=True).fullmatch(path) is not None


@cache
def _pattern(place: str, *, inside: bool) -> re.Pattern[str]:
    """Return the expression for the rows that are marked for a place: those of whatever lies `inside` of folders, or
    the others."""
    paths = [row.path for row in LEFT_BEHIND if getattr(row, place) and row.path.endswith("/") == inside]
    return re.compile("|".join(expression(path) + (".+" if inside else "") for path in paths), re.DOTALL)


def expression(path: str) -> str:
    """Return the regular expression of a path in the form that a Leftover has."""
    signs = {"**": ".*", "*": "[^/]*"}
    return "".join(signs.get(part) or re.escape(part) for part in re.split(r"(\*\*?)", path))
