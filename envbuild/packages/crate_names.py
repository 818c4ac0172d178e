"""Names, versions and places of crates, as types that refuse what no crate has."""

from __future__ import annotations

import re

from envbuild.http.addresses import BadAddress, WebAddress
from envbuild.lockfile.checked_name import CheckedName, UnsafeName

MAX_CRATE_NAME = 64
CRATES = "crates-io"
"""How the registry is called in cargo's settings that a Cargo.lock means if it names no other."""
SPARSE = "sparse+"


class CrateName(CheckedName):
    """The name of a crate (The Cargo Book, "The Manifest Format"). Raises UnsafeName."""

    __slots__ = ()
    grammar = re.compile(rf"[A-Za-z][A-Za-z0-9_-]{{0,{MAX_CRATE_NAME - 1}}}")
    what = "the name of a crate"


class CrateVersion(CheckedName):
    """A version as semver.org has it. Raises UnsafeName."""

    __slots__ = ()
    grammar = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+(?:[-+][A-Za-z0-9.+-]+)?")
    what = "the version of a crate"


class CrateOrigin(str):
    """`crates-io` or `sparse+INDEX`: the registry that a crate is of. Raises UnsafeName."""

    __slots__ = ()

    def __new__(cls, text: str) -> CrateOrigin:
        if text != CRATES:
            try:
                WebAddress(text.removeprefix(SPARSE))
            except BadAddress:
                raise UnsafeName("the registry of a crate", text) from None
            if not text.startswith(SPARSE):
                raise UnsafeName("the registry of a crate", text)
        return super().__new__(cls, text)
