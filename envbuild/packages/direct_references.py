"""Requirements that are an address (`NAME @ ADDRESS`): whether a statement names it itself, or somebody else did."""

from __future__ import annotations

import re
from collections.abc import Iterable

from envbuild.lockfile.lock import Package
from envbuild.packages.credentials import without_user
from envbuild.packages.names import BUILD, INDEX, TREE
from envbuild.plan.step import InstallPackages

Contents = tuple[tuple[str, bytes], ...]
NAMED_ADDRESS = re.compile(r"https?://[^\s#;\"'<>\\]+")
"""An address in the text of a requirement."""


def names_address(action: InstallPackages, contents: Contents, address: str) -> bool:
    """Whether a statement, or one of its files, names this address itself (`NAME @ ADDRESS`)."""
    plain = without_user(address)
    texts = [*action.wanted, *(content.decode("utf-8", "replace") for _, content in contents)]
    return any(without_user(one) == plain for text in texts for one in NAMED_ADDRESS.findall(text))


def asks_again(action: InstallPackages, contents: Contents, packages: Iterable[Package]) -> bool:
    """Whether what a lock has for a statement is not to be trusted with where files come from: an address that the
    statement doesn't name."""
    origins = [package.origin.removeprefix(BUILD) for package in packages]
    direct = [origin for origin in origins if not origin.startswith((INDEX, TREE))]
    return not all(names_address(action, contents, origin) for origin in direct)
