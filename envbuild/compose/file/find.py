"""Which file is meant when none is named, and what a group is called whose file gives no name."""

from __future__ import annotations

import os

from envbuild.errors import UsageError

FILES = (
    "services.yaml",
    "services.yml",
    "compose.yaml",
    "compose.yml",
    "docker-compose.yaml",
    "docker-compose.yml",
)


class NoFile(UsageError):
    """There is no file of services."""

    def __init__(self, folder: str) -> None:
        super().__init__(
            f"there is no services.yaml in {folder}, nor in a folder above it",
            "write one (docs/services.md), or name it",
        )


def find_file(folder: str) -> tuple[str, tuple[str, ...]]:
    """The first of FILES in this folder or the nearest one above it, and those that lie beside it. Raises NoFile."""
    start = os.path.abspath(folder)
    at = start
    while True:
        found = [name for name in FILES if os.path.isfile(os.path.join(at, name))]
        if found:
            return os.path.relpath(os.path.join(at, found[0]), start), tuple(found[1:])
        if at == os.path.dirname(at):
            raise NoFile(start)
        at = os.path.dirname(at)


def looks_like_file(text: str) -> bool:
    """Whether an argument is a file's name rather than a group's or a service's."""
    return text.endswith((".yaml", ".yml")) or "/" in text or os.path.isfile(text)


def name_of_folder(folder: str) -> str:
    """The name of a group whose file lies in this folder: lower case, without what a name may not hold."""
    name = os.path.basename(os.path.abspath(folder)).lower()
    kept = "".join(one for one in name if one.isascii() and (one.isalnum() or one in "-_"))
    return kept.lstrip("-_") or "group"
