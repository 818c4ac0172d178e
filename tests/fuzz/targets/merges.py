"""The databases that a merge reads of three images."""

from __future__ import annotations

from envbuild.merge.accounts import renumbered, renumbering
from envbuild.merge.alternatives import is_plain, read_alternative
from envbuild.merge.drivers import driver_of
from envbuild.merge.lines import merge_texts
from envbuild.merge.marks import without_asked
from envbuild.merge.records import BadDatabase
from tests.fuzz.target import Target

SEPARATOR = b"\n%%\n"
PATHS = (
    b"var/lib/dpkg/status",
    b"var/lib/apt/extended_states",
    b"var/cache/debconf/config.dat",
    b"var/lib/dpkg/diversions",
    b"var/lib/dpkg/alternatives/x",
    b"var/lib/dpkg/triggers/File",
    b"etc/passwd",
    b"etc/group",
    b"etc/shadow",
    b"etc/subuid",
    b"app/package-lock.json",
    b"app/a.dist-info/RECORD",
    b"usr/share/info/dir",
    b"var/log/x",
)


def _undecided(subject: str, package: str) -> str:
    return ""


def read_sides(data: bytes) -> None:
    """Merge three contents by each driver, in both directions."""
    parts = [*data.split(SEPARATOR), b"", b"", b""]
    base, ours, theirs = parts[:3]
    for path in PATHS:
        driver = driver_of(path)
        assert driver is not None
        try:
            there = driver.merge(base, ours, theirs, _undecided)
            back = driver.merge(base, theirs, ours, _undecided)
        except BadDatabase:
            continue
        assert bool(there.clashes) == bool(back.clashes)
        if path == b"var/lib/dpkg/alternatives/x" and there.content:
            merged = read_alternative(there.content)
            assert all(map(is_plain, (*merged.slaves.values(), *merged.choices)))
    without_asked(ours, base, ((ours, theirs), (theirs, ours)))
    merge_texts(base, ours, theirs, git=False)
    try:
        numbers = renumbering((base, base), (ours, ours), (theirs, theirs))
        assert not any(old == 0 for old, _ in (*numbers.users, *numbers.groups)) or b":0:" not in base
        renumbered(b"etc/passwd", theirs, numbers)
    except BadDatabase:
        pass


TARGETS = (
    Target(
        "merge-sides",
        read_sides,
        (),
        (
            SEPARATOR,
            b"Package: ",
            b"Status: install ok installed\n",
            b"\n\n",
            b":x:1000:",
            b"auto\n/usr/bin/x\n",
            b"../",
        ),
    ),
)
