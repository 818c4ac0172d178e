"""Names of packages as users give them, whatever package manager they are of."""

from __future__ import annotations


def plain_name(name: str) -> str:
    """Return a package's name as a user gives it: without an architecture, the folders of npm, and the version that is
    part of the name of a crate, a module of Go or an artifact of Maven."""
    name = name.rpartition("node_modules/")[2]
    plain, at, _ = name[1:].partition("@")
    return name[:1] + plain if at else name.partition(":")[0]
