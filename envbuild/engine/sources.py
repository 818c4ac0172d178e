"""What a build was made from, kept beside its image: the recipes, their locks, and what they took of their folders.

It is a tree like any other, so that what builds have in common is kept once; `envbuild verify` builds from it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from envbuild.engine.context import IGNORE_FILE
from envbuild.engine.keep import keep
from envbuild.engine.project import read_recipe
from envbuild.engine.session import RecipeRun, Session
from envbuild.real_path import RealFiles
from envbuild.store.objects import ContentChanged
from envbuild.store.store import Store
from envbuild.tree.apply import Edit, NotADirectory, edit
from envbuild.tree.entry import DIRECTORY, FILE, LINK, Entry
from envbuild.tree.forest import walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def sources_of(session: Session, one: RecipeRun, lock_texts: dict[str, str]) -> dict[str, Any]:
    """`tree` has the files that the build read, `locks` the texts of the locks by path; `recipe` is the recipe's path
    there, and `files` are those of all files that are read for it. How the build was asked for, `settings`, `stage`,
    `epoch` and the names of `secrets`, is there only where it says something.

    `lock_texts` are the locks by path. Empty where a file changed meanwhile: then nobody can build that again.
    """
    try:
        # What was copied comes last: the modes that it has there decide.
        edits = [
            *sorted(_texts(session), key=lambda one: one.path),
            *sorted(_copied(session), key=lambda one: one.path),
        ]
    except (ContentChanged, OSError):
        return {}
    root = os.path.commonpath([os.path.dirname(os.fsdecode(one.path)) for one in edits] or ["/"])
    inside = [Edit(os.fsencode(os.path.relpath(os.fsdecode(one.path), root)), one.entry) for one in edits]
    try:
        tree = edit(session.store.trees, session.store.trees.save(()), inside, 0)
    except NotADirectory:
        return {}
    found: dict[str, Any] = {
        "tree": tree,
        "recipe": os.path.relpath(os.path.realpath(one.recipe.path), root),
        # Not in the tree: every build has another one, and would add a file to the pool for it.
        "locks": {os.path.relpath(os.path.realpath(path), root): text for path, text in lock_texts.items()},
        "files": [os.path.relpath(os.path.realpath(path), root) for path, _ in one.recipe.files],
    }
    request = session.request
    if one is session.recipes[-1]:
        extra = {
            "settings": dict(request.settings),
            "stage": request.stage,
            "secrets": [name for name, _ in request.secrets],
        }
        found |= {name: value for name, value in extra.items() if value}
    return found if request.epoch is None else {**found, "epoch": request.epoch}


def _texts(session: Session) -> Iterator[Edit]:
    """The recipes, and the files that were read and not copied."""
    store = session.store
    for one in session.recipes:
        for path, _ in one.recipe.files:
            yield Edit(os.fsencode(os.path.realpath(path)), _file(store, read_recipe(session.project, path)))
    for context in session.contexts:
        ignored = context.ignore_content()
        if ignored is not None:
            yield Edit(os.fsencode(f"{context.folder}/{IGNORE_FILE}"), _file(store, ignored))
        for path, (content, mode) in context.texts.items():
            yield Edit(os.fsencode(path), _file(store, content, mode & 0o755))


def _copied(session: Session) -> Iterator[Edit]:
    with RealFiles() as files:
        for context in session.contexts:
            for found in context.taken.values():
                yield Edit(os.fsencode(found.path), keep(session.store, found, (0, 0), None, files))


def _file(store: Store, content: bytes, mode: int = 0o644) -> Entry:
    return store.objects.add(Entry(b"", FILE, mode, 0, 0, 0), content)


def check_out(store: Store, sources: dict[str, Any], folder: str) -> None:
    """Writes what was kept of a build into an empty folder."""
    for path, entry in walk(store.trees, sources["tree"]):
        where = os.path.join(folder, os.fsdecode(path))
        if entry.kind == DIRECTORY:
            os.mkdir(where)
        elif entry.kind == LINK:
            os.symlink(entry.target, where)
        else:
            with open(where, "xb") as file:
                file.write(store.objects.read(entry))
            os.chmod(where, entry.mode | 0o400)
    for name, text in sources["locks"].items():
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(text)
