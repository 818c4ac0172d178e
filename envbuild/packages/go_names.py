"""Paths and versions of Go's modules, as types that refuse what no module has."""

from __future__ import annotations

import re

from envbuild.lockfile.checked_name import CheckedName, UnsafeName

MAX_MODULE = 500
GO_MOD = "/go.mod"
"""How the name of a module ends of which only the go.mod is meant, as in go.sum."""
ORIGIN = "goproxy"
_ELEMENT = re.compile(r"[A-Za-z0-9_~-](?:[A-Za-z0-9._~-]*[A-Za-z0-9_~-])?")


class ModulePath(str):
    """The path of a module (The Go Modules Reference, "Module paths"). Raises UnsafeName."""

    __slots__ = ()

    def __new__(cls, text: str) -> ModulePath:
        if len(text) > MAX_MODULE or any(_ELEMENT.fullmatch(element) is None for element in text.split("/")):
            raise UnsafeName("the path of a Go module", text)
        return super().__new__(cls, text)


class ModuleVersion(CheckedName):
    """A canonical version of a module. Raises UnsafeName."""

    __slots__ = ()
    grammar = re.compile(r"v[0-9]+\.[0-9]+\.[0-9]+(?:-[A-Za-z0-9.-]+)?(?:\+incompatible)?")
    what = "the version of a Go module"


def place_of(module: str, version: str, ending: str) -> str:
    """Return where a proxy and a module cache have a file of a module: capitals are escaped there (The Go Modules
    Reference, "GOPROXY protocol"). Raises UnsafeName."""
    return f"{_escaped(ModulePath(module))}/@v/{_escaped(ModuleVersion(version))}.{ending}"


def _escaped(text: str) -> str:
    return "".join(f"!{character.lower()}" if character.isupper() else character for character in text)
