"""The files of a Python project of the context, as what builds it gets them."""

from __future__ import annotations

import os

from envbuild.build.context import Context
from envbuild.build.context_scan import Choice, ContextItem
from envbuild.errors import UsageError, fields
from envbuild.linux.nofollow import RealFiles
from envbuild.packages.manager import IN_PROJECT, Contents
from envbuild.packages.python_project import folder_and_extras
from envbuild.tree.entry import DIRECTORY, FILE, LINK

MAX_BYTES = 64 << 20
MAX_FILES = 20_000
_LEFT_OUT = (b"__pycache__", b"node_modules", b".tox", b".nox", b".mypy_cache", b".pytest_cache", b".ruff_cache")
"""Directories that tools fill and that are part of no distribution."""
_ENVIRONMENT = b"pyvenv.cfg"
_RECIPE = b".env"


@fields
class ProjectTooLarge(UsageError):
    """A project has more files than a distribution is made of."""

    folder: str

    def text(self) -> tuple[str, str]:
        return (
            f"pip: the project {self.folder} is larger than {MAX_BYTES >> 20} MiB or {MAX_FILES:,} files",
            "leave out what does not belong to it with lines in .envignore",
        )


def files_of(context: Context, word: str) -> Contents:
    """Return the files and links of the project that a word names, by their kinds and paths; not recipes, nor virtual
    environments and what tools leave there. Raises ContextError and ProjectTooLarge."""
    folder, _ = folder_and_extras(word)
    sources = context.select(f"{folder}/", Choice(), 0)
    files: list[tuple[str, ContextItem]] = []
    for source in sources:
        _take(source, f"{folder}/", files)
    if len(files) > MAX_FILES or sum(file.entry.size for _, file in files) > MAX_BYTES:
        raise ProjectTooLarge(folder)
    items: list[tuple[str, bytes]] = []
    with RealFiles() as opened:
        for path, file in files:
            items.append(_item(opened, path, file))
    return tuple(sorted(items))


def _take(source: ContextItem, at: str, files: list[tuple[str, ContextItem]]) -> None:
    if any(child.entry.name == _ENVIRONMENT for child in source.children):
        return
    for child in source.children:
        entry, path = child.entry, f"{at}{os.fsdecode(child.entry.name)}"
        if entry.kind == DIRECTORY and entry.name not in _LEFT_OUT:
            _take(child, f"{path}/", files)
        elif entry.kind == LINK or (entry.kind == FILE and not entry.name.endswith(_RECIPE)):
            files.append((path, child))


def _item(opened: RealFiles, path: str, file: ContextItem) -> tuple[str, bytes]:
    """Return a file's kind and path, and its content, or where a link leads."""
    if file.entry.kind == LINK:
        return f"{IN_PROJECT}l{path}", file.entry.target
    with open(opened.open(file.path, os.O_RDONLY | os.O_NONBLOCK), "rb") as content:
        # What grew since it was looked at is not read to its end.
        return f"{IN_PROJECT}{'x' if file.entry.mode & 0o100 else 'f'}{path}", content.read(file.entry.size)
