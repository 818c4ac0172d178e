"""One package of a tree."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from envbuild.record import Record
from envbuild.tree.entry import Entry

DPKG, PYTHON, NODE = "dpkg", "python", "node"

Read = Callable[[str], "bytes | None"]
"""The content of a file of the tree by its path without a slash at the beginning; None if it has none."""
Walked = Iterable[tuple[str, Entry]]


class Component(Record):
    """A package that is installed. `kind` is dpkg, python or node; `path` where in the tree it says so of itself;
    `licences` as it names them, SPDX identifiers where they are known; `hash` that of the file that it was installed
    from (`sha256:...`), "" where nobody knows it; `source` is dpkg's source package."""

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

    @property
    def url(self) -> str:
        """The package URL (package-url/purl-spec: types deb, pypi and npm)."""
        from urllib.parse import quote

        name, version = self.name, quote(self.version, safe="")
        if self.kind == DPKG:
            distribution, _, suite = self.distribution.partition(" ")
            qualifiers = f"arch={self.architecture}" + (f"&distro={quote(suite)}" if suite else "")
            return f"pkg:deb/{distribution or 'debian'}/{quote(name, safe='')}@{version}?{qualifiers}"
        if self.kind == PYTHON:
            return f"pkg:pypi/{name.lower().replace('_', '-')}@{version}"
        scope, slash, rest = name.rpartition("/")
        return f"pkg:npm/{quote(scope, safe='')}{slash}{quote(rest, safe='')}@{version}"
