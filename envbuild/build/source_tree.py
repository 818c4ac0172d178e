"""What a build was made from, kept beside its image: the recipes, their locks, and what they took of their folders.

It is a tree like any other, so that what builds have in common is kept once; `envbuild verify` builds from it.
"""

from __future__ import annotations

import errno
import os

from envbuild.build.context import keep
from envbuild.build.graph import PlannedRecipe
from envbuild.build.job import BuildJob
from envbuild.build.recipe_files import read_recipe
from envbuild.errors import WorkFailed, fields
from envbuild.linux.nofollow import Folder, NotPlain, RealFiles
from envbuild.store.step_cache import ContentChanged
from envbuild.store.store import Store
from envbuild.tree.apply import Edit, NotADirectory
from envbuild.tree.apply import edit as edit_tree
from envbuild.tree.entry import DIRECTORY, FILE, LINK, Entry
from envbuild.tree.lookup import walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any


def sources_of(job: BuildJob, recipe: PlannedRecipe, lock_texts: dict[str, str]) -> dict[str, Any]:
    """Return what a build was made from, for the record of its image.

    `tree` has the files that the build read, `locks` the texts of the locks by path; `recipe` is the recipe's path
    there, and `files` are those of all files that are read for it. `named` is what the recipe and those that it needs
    name of their folders, with wildcards as they are, and `archives` what of it is not in the tree. How the build was
    asked for, `settings`, `stage`, `epoch` and the names of `secrets`, is there only where it says something.

    `lock_texts` are the locks by path. Empty where a file changed meanwhile: then nobody can build that again.
    """
    try:
        # What was copied comes last: the modes that it has there decide.
        edits = [
            *sorted(_texts(job), key=lambda edit: edit.path),
            *sorted(_copied(job), key=lambda edit: edit.path),
        ]
    except (ContentChanged, OSError):
        return {}
    # A context is there even where everything that comes from it lies deeper.
    contexts = [context.folder for context in job.sources.contexts()]
    root = os.path.commonpath([*contexts, *(os.path.dirname(os.fsdecode(edit.path)) for edit in edits)] or ["/"])
    inside = [Edit(os.fsencode(os.path.relpath(os.fsdecode(edit.path), root)), edit.entry) for edit in edits]
    try:
        tree = edit_tree(job.store.trees, job.store.trees.save(()), inside, 0)
    except NotADirectory:
        return {}
    known: dict[str, Any] = {
        "tree": tree,
        "recipe": os.path.relpath(os.path.realpath(recipe.path), root),
        # Not in the tree: every build has another one, and would add a file to the pool for it.
        # They lie beside their recipes: what a link in that place leads to is none of them.
        "locks": {os.path.relpath(_real_place(path), root): text for path, text in lock_texts.items()},
        "files": [os.path.relpath(os.path.realpath(path), root) for path, _ in recipe.recipe.files],
        "named": _inside(root, _named(job, recipe)),
    }
    archives = {path for needed in job.graph.needed_by(recipe) for path in _archives(job, needed)}
    if archives:
        known["archives"] = _inside(root, archives)
    request = job.request
    if recipe is job.graph.top:
        extra = {
            "settings": dict(request.settings),
            "stage": request.stage,
            "secrets": [name for name, _ in request.secrets],
        }
        known |= {name: value for name, value in extra.items() if value}
    return known if request.epoch is None else {**known, "epoch": request.epoch}


def _texts(job: BuildJob) -> Iterator[Edit]:
    """Yield the recipes, and the files that were read and not copied."""
    store = job.store
    for recipe in job.graph.recipes:
        for path, _ in recipe.recipe.files:
            yield Edit(os.fsencode(os.path.realpath(path)), _file(store, read_recipe(job.project, path)))
    for context in job.sources.contexts():
        if context.ignored.path:
            yield Edit(os.fsencode(context.ignored.path), _file(store, context.ignored.content))
        for path, (content, mode) in context.texts.items():
            yield Edit(os.fsencode(path), _file(store, content, mode))


def _named(job: BuildJob, recipe: PlannedRecipe) -> Iterator[str]:
    """Yield the paths of what a recipe and those that it needs are made of and take, by name and in truth."""
    for needed in job.graph.needed_by(recipe):
        for path, _ in needed.recipe.files:
            yield _real_place(path)
            yield os.path.realpath(path)
        for context in job.sources.contexts(needed):
            yield from context.named
            yield from context.texts
            yield from _archives(job, needed)
            yield from (item.path for item in context.taken.values())
            if context.ignored.path:
                yield context.ignored.path


def _archives(job: BuildJob, recipe: PlannedRecipe) -> Iterator[str]:
    for context in job.sources.contexts(recipe):
        yield from context.archives


def _inside(root: str, paths: Iterable[str]) -> list[str]:
    """Return paths relative to `root`, without those that others contain and those that lie elsewhere."""
    outermost: list[str] = []
    inner = {os.path.relpath(path, root) for path in paths}
    for path in ["."] if "." in inner else sorted(inner, key=lambda path: path.split("/")):
        if not path.startswith("../") and (not outermost or not path.startswith(f"{outermost[-1]}/")):
            outermost.append(path)
    return outermost


def _copied(job: BuildJob) -> Iterator[Edit]:
    with RealFiles() as files:
        for context in job.sources.contexts():
            for item in context.taken.values():
                yield Edit(os.fsencode(item.path), keep(job.store, item, (0, 0), None, files))


def _file(store: Store, content: bytes, mode: int = 0o644) -> Entry:
    return store.objects.add(Entry(b"", FILE, mode, 0, 0, 0), content)


def _real_place(path: str) -> str:
    """Return where a file lies, without links on the way to it, whatever it is itself."""
    folder, name = os.path.split(path)
    return os.path.join(os.path.realpath(folder), name)


@fields
class SourcesLeadOut(WorkFailed):
    """What is on record of a build names a place outside of its folder."""

    path: str

    def text(self) -> tuple[str, str]:
        return (
            f"what is on record of the build would be written to {self.path!r}, outside of its folder",
            "an earlier envbuild recorded it, from a lock that was a link: build its recipe again",
        )


def check_out(store: Store, sources: dict[str, Any], folder: str) -> None:
    """Write what was kept of a build into an empty folder. Links of the recipe's folder are made and never followed,
    also one that has the place of the lock."""
    with Folder(folder) as top:
        for path, entry in walk(store.trees, sources["tree"]):
            with top.below(os.fsdecode(path)) as (at, name):
                if entry.kind == DIRECTORY:
                    at.folder(name).__exit__()
                elif entry.kind == LINK:
                    at.symlink(entry.target, name)
                else:
                    _write(store, entry, at, name)
        for path, text in sources["locks"].items():
            try:
                with top.below(path) as (at, name):
                    at.remove(name)
                    at.write(name, text.encode())
            except NotPlain as error:
                raise SourcesLeadOut(path) from error
            except OSError as error:
                if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                    raise
                raise SourcesLeadOut(path) from error


def _write(store: Store, entry: Entry, folder: Folder, name: str) -> None:
    """Write a file of the store into a folder; holes stay holes."""
    from envbuild.linux.safe_copy import copy_content  # `verify` alone writes them out again

    source = store.objects.open(entry)
    try:
        made = folder.create(name)
        try:
            copy_content(source, made, os.fstat(source))
            os.fchmod(made, entry.mode | 0o400)
        finally:
            os.close(made)
    finally:
        os.close(source)
