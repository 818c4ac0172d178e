"""The base that the recipe of a machine starts from."""

from __future__ import annotations

import re

from envbuild.errors import UsageError, fields
from envbuild.linux.os_release import MAX_RELEASE, PATHS, release_fields
from envbuild.store.objects import TooLargeToRead
from envbuild.store.store import Store
from envbuild.tree.entry import Digest
from envbuild.tree.lookup import LinkCircle

_SUITE = re.compile(r"[a-z][a-z0-9-]{0,40}")


@fields
class NoBaseKnown(UsageError):
    """A system that no base is like."""

    name: str
    system: str

    def text(self) -> tuple[str, str]:
        return (
            f"no base is known for {self.name}, which is {self.system}",
            "name one that a recipe has after `from`: --from image:NAME, --from registry:HOST/PATH:TAG; "
            "or begin a recipe with the capture itself: from capture:NAME",
        )


@fields
class NotABaseHere(UsageError):
    """A base that a recipe can't be tried with."""

    base: str

    def text(self) -> tuple[str, str]:
        return (
            f"--from: '{self.base}' can't be the base of a recipe that is tried elsewhere first",
            "of a file or a recipe make an image first, and name that: --from image:NAME",
        )


_WITH_PATHS = ("tar:", "oci:", "recipe:")


def checked_base(text: str) -> str:
    """Return a base that a user names. Raises NotABaseHere for one with a path, which is relative to the recipe."""
    if not text.strip() or not text.isprintable() or text.startswith(_WITH_PATHS):
        raise NotABaseHere(text)
    return text


def base_of_machine(store: Store, tree: Digest, name: str) -> str:
    """Return the base as a recipe has it after `from`: a Debian of the machine's suite. `name` is how the user named
    the capture. Raises NoBaseKnown."""
    release = _release(store, tree)
    suite = release.get("VERSION_CODENAME", "")
    if release.get("ID") == "debian" and _SUITE.fullmatch(suite):
        return f"debian:{suite}"
    pretty = release.get("PRETTY_NAME") or release.get("ID") or "of no system that says its name"
    raise NoBaseKnown(name, pretty[:80])


def _release(store: Store, tree: Digest) -> dict[str, str]:
    for path in PATHS:
        try:
            text = store.read_text(tree, path, MAX_RELEASE, errors="replace")
        except (TooLargeToRead, LinkCircle):
            continue
        if text:
            return release_fields(text)
    return {}
