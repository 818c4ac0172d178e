"""The packages that somebody asked for by name: in a statement of a recipe, or by hand in an instance."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from posixpath import dirname

from envbuild.debian.deb822 import stanzas
from envbuild.history.operand import Operand
from envbuild.history.package_changes import Package, PackageChange
from envbuild.images.ancestry import with_those_below
from envbuild.packages.inventory.bad_record import MAX_STATUS
from envbuild.packages.inventory.component import DPKG, NODE, PYTHON, Component
from envbuild.packages.registry import KINDS
from envbuild.store.images import Image
from envbuild.store.objects import TooLargeToRead
from envbuild.store.store import Store
from envbuild.tree.entry import Digest
from envbuild.tree.lookup import LinkCircle, lookup

_STATEMENT = re.compile(r"(\w+)(?:\([^)]*\))?\s")
_NAME = re.compile(r"@?[A-Za-z0-9][^=<>!~@\[;:/]*(?:/[^=<>!~@\[;:]+)?")
_AUTOMATIC = "var/lib/apt/extended_states"


class RequestedPackages:
    """The packages that the statements of two environments name; in an instance also those that apt does not mark as
    installed automatically, and those of Python that pip was asked for."""

    def __init__(self, store: Store, old: Operand, new: Operand) -> None:
        self._store = store
        self._new = new
        texts = {text for operand in (old, new) for text in _statements(store, operand)}
        self._named = {name for text in texts for name in _named(text)}

    def asked_for(self, change: PackageChange) -> bool:
        """Return whether somebody asked for a package that differs."""
        package = change.package
        if package.kind == NODE and "node_modules/" in package.where:
            return False  # a copy that another package brought for itself
        name = package.name.partition(":")[0] if package.kind == DPKG else package.name
        if (package.kind, _plain(package.kind, name)) in self._named:
            return True
        if self._new.tree is None or change.new is None:
            return False
        if package.kind == PYTHON:
            return self._is_requested(change.new)
        # An image's tree does not say what a recipe asked for: what came with its base is not marked either.
        by_hand = change.old is None and not self._new.image
        return by_hand and package.kind == DPKG and name not in self._automatic

    def _is_requested(self, package: Package) -> bool:
        record = f"{dirname(package.record)}/REQUESTED".encode("utf-8", "surrogateescape")
        try:
            return lookup(self._store.trees, self._new.tree or "", record) is not None
        except LinkCircle:
            return False

    @cached_property
    def _automatic(self) -> frozenset[str]:
        try:
            text = self._store.read_text(self._new.tree or "", _AUTOMATIC, MAX_STATUS) or ""
        except (TooLargeToRead, LinkCircle):
            return frozenset()
        return frozenset(
            fields.get("package", "") for fields in stanzas(text) if fields.get("auto-installed", "").strip() == "1"
        )


def requested_of(store: Store, image: Image, packages: Iterable[Component]) -> set[Component]:
    """Return those of an image's packages that a statement of its build names, or of a build that it stands on."""
    named = {name for text in _texts(store, image.digest) for name in _named(text)}
    return {
        package
        for package in packages
        # What another package brought for itself nobody asked for.
        if not (package.kind == NODE and package.path.count("node_modules/") > 1)
        and (package.kind, _plain(package.kind, package.name.partition(":")[0])) in named
    }


def _statements(store: Store, operand: Operand) -> set[str]:
    """Return the statements of an environment and of the images that it is built on."""
    texts = {statement.text for statement in operand.statements}
    return texts | _texts(store, operand.image) if operand.image else texts


def _texts(store: Store, digest: Digest) -> set[str]:
    """Return the statements of an image and of those that it is built on."""
    image = store.images.get(digest)
    known = [] if image is None else [below.known for below in with_those_below(store, image)]
    return {step["text"] for build in known for stage in build.get("stages", []) for step in stage["steps"]}


def _named(text: str) -> Iterator[tuple[str, str]]:
    """Yield the kind and name of each package that a statement names."""
    match = _STATEMENT.match(text)
    kind = KINDS.get(match[1]) if match is not None else None
    if match is None or kind is None:
        return
    for word in text[match.end() :].replace("\\\n", " ").split():
        name = _NAME.match(word.strip("\"'"))
        if name is not None:
            yield kind, _plain(kind, name[0])


def _plain(kind: str, name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower() if kind == PYTHON else name
