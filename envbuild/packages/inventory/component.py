"""One package of a tree."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from envbuild.packages.inventory.bad_record import Unreadable
from envbuild.record import Record
from envbuild.tree.entry import Entry

DPKG, PYTHON, NODE = "dpkg", "python", "node"
CARGO, GO, MAVEN = "cargo", "go", "maven"
KINDS = (DPKG, PYTHON, NODE, CARGO, GO, MAVEN)

Read = Callable[[str, int], "bytes | None"]
"""The content of a file of the tree by its path without a slash at the beginning, None if it has none; raises
Unreadable if the file has more bytes than the second argument allows."""
Walked = Iterable[tuple[str, Entry]]


MAX_WORD = 214
"""Characters of a name (npm's documentation, "package.json": name) and of a version."""
_NAMES = {
    # Debian policy 5.6.1 has lower case; packages of others do not always keep to it.
    DPKG: re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*"),
    # Python packaging's "Names and normalization".
    PYTHON: re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"),
    NODE: re.compile(r"(?:@[A-Za-z0-9._~-]+/)?[A-Za-z0-9._~!'()*-]+"),
}
_VERSION = re.compile(r"[!-~]+")


def check_identity(kind: str, name: object, version: object) -> tuple[str, str]:
    """Return a package's name and version as its record has them. Raises Unreadable for what can't be one."""
    for what, value, form in (("name", name, _NAMES[kind]), ("version", version, _VERSION)):
        if not isinstance(value, str) or not value:
            raise Unreadable(f"it has no {what}")
        if len(value) > MAX_WORD:
            raise Unreadable(f"its {what} has {len(value):,} characters")
        if not form.fullmatch(value):
            raise Unreadable(f"{value!a} is not a {what} of such a package")
    return str(name), str(version)


class Component(Record):
    """A package that is installed, or that what is installed was built with. `kind` is one of KINDS.

    `path` is where in the tree it says so of itself; `licences` as it names them, SPDX identifiers where they are
    known; `hash` that of the file that it was installed from (`sha256:...`), "" where nobody knows it; `source` is
    dpkg's source package. What the lock of a project names has no path, and `stage`, the stage that took it;
    `qualifiers` are what its URL says of it beside name and version.
    """

    kind: str
    name: str
    version: str
    architecture: str
    path: str
    licences: tuple[str, ...]
    hash: str = ""
    source: str = ""
    homepage: str = ""
    distribution: str = ""
    stage: str = ""
    qualifiers: str = ""

    @property
    def url(self) -> str:
        """The package URL (package-url/purl-spec: types deb, pypi, npm, cargo, golang and maven)."""
        from urllib.parse import quote

        name, version = self.name, quote(self.version, safe="")
        if self.kind == DPKG:
            distribution, _, suite = self.distribution.partition(" ")
            qualifiers = f"arch={self.architecture}" + (f"&distro={quote(suite)}" if suite else "")
            return f"pkg:deb/{distribution or 'debian'}/{quote(name, safe='')}@{version}?{qualifiers}"
        if self.kind == PYTHON:
            return f"pkg:pypi/{quote(name.lower().replace('_', '-'), safe='')}@{version}"
        if self.kind == CARGO:
            return f"pkg:cargo/{quote(name, safe='')}@{version}"
        if self.kind == GO:
            return f"pkg:golang/{quote(name.lower())}@{version}"
        if self.kind == MAVEN:
            qualifiers = f"?{self.qualifiers}" if self.qualifiers else ""
            return f"pkg:maven/{quote(name.replace(':', '/'))}@{version}{qualifiers}"
        scope, slash, rest = name.rpartition("/")
        return f"pkg:npm/{quote(scope, safe='')}{slash}{quote(rest, safe='')}@{version}"
