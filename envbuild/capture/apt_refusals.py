"""What apt says of packages that it can't install, as far as a recipe can do without them (apt-get(8))."""

from __future__ import annotations

import re

from envbuild.record import Record

_NO_VERSION = re.compile(r"Version '[^'\n]*' for '([^'\n]+)' was not found")
_NO_PACKAGE = re.compile(r"Unable to locate package (\S+)|Package '?([^\s']+)'? has no installation candidate")
_UNMET = re.compile(r"^ (\S+) : (?:Pre)?(?:Depends|Breaks|Conflicts|-Depends)", re.MULTILINE)


class Refusals(Record):
    """The names that apt refuses: `versions` of packages that no source has in the version asked for, `packages` that
    no source has at all, and `conflicts` of packages whose dependencies are not met."""

    versions: frozenset[str]
    packages: frozenset[str]
    conflicts: frozenset[str]

    @property
    def names(self) -> frozenset[str]:
        """All packages that apt named."""
        return self.versions | self.packages | self.conflicts


def refusals_of(message: str) -> Refusals:
    """Return what the text of a failed `apt-get install` refuses. apt names all missing packages and versions at
    once."""
    return Refusals(
        frozenset(_NO_VERSION.findall(message)),
        frozenset(left or right for left, right in _NO_PACKAGE.findall(message)),
        frozenset(_UNMET.findall(message)),
    )
