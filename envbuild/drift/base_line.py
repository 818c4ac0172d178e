"""The `from` line of a recipe that is written for an instance: one that others can build, if there is any."""

from __future__ import annotations

import os
from collections.abc import Iterator

from envbuild.build.build import built_image
from envbuild.build.named_image import find_image
from envbuild.build.recipe_files import project_of
from envbuild.drift.statement_text import is_plain, word
from envbuild.errors import EnvbuildError
from envbuild.git.git_dir import git_dir_of
from envbuild.history.build_commits import BuildCommits
from envbuild.record import Record
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.store.tags import BUILD


class BaseLine(Record):
    """The `from` line, the comments before it, and whether others can build what it names: a digest is known to this
    store alone."""

    text: str
    remarks: tuple[str, ...]
    portable: bool


def base_line(store: Store, base: Image, reference: str, target: str, epoch: int | None) -> BaseLine:
    """Return the line for a recipe that will lie at `target` and starts from the image of an instance, which was
    started as `reference`."""
    folder = os.path.dirname(os.path.abspath(target))
    for recipe in _recipes(store, base):
        if _builds(store, recipe, base, target, epoch):
            name = os.path.relpath(os.path.realpath(recipe), os.path.realpath(folder))
            remarks = [f"The instance runs {reference}, which is what this recipe builds."]
            if os.path.dirname(name) == "":
                remarks.append(f"Its lines can as well be appended to {name}, without this one:")
            return BaseLine(f"from {word(f'recipe:{name}')}", tuple(remarks), True)
    revision = _revision(store, base, folder)
    if revision:
        remarks = [
            f"The instance runs {reference}, which was the image of this commit's lock. Its recipe builds another one",
            "by now: `from recipe:` and its path takes the changes there. (Where this image is not in the store, the",
            "build says how to build it.)",
        ]
        return BaseLine(f"from {word(f'image:{revision}')}", tuple(remarks), True)
    remarks = [
        f"The instance runs {reference}, which was this image. No recipe of this project is known to build it, so this",
        "line works with this store alone. Start from a recipe to share it.",
    ]
    return BaseLine(f"from image:sha256:{base.digest}", tuple(remarks), False)


def _recipes(store: Store, base: Image) -> Iterator[str]:
    """Yield the paths of recipes that made the image, as far as they are on record."""
    paths = []
    for move in store.tags.moves_to(base.digest):
        known = move.known
        if move.action == BUILD and known.get("file"):
            paths.append(os.path.join(str(known.get("root", "")), str(known["file"])))
        elif move.action == BUILD:
            paths.append(str(known.get("recipe", "")))
    paths.append(str(base.known.get("path", "")))
    yield from (path for path in dict.fromkeys(map(os.path.abspath, filter(None, paths))) if os.path.isfile(path))


def _builds(store: Store, recipe: str, base: Image, target: str, epoch: int | None) -> bool:
    """Return whether a recipe gives the image as it is now, and a recipe at `target` may start from it."""
    real, project = os.path.realpath(recipe), os.path.realpath(project_of(target))
    if not f"{real}".startswith(f"{project}/") or real == os.path.realpath(target) or not is_plain(os.fsencode(real)):
        return False
    try:
        image = built_image(recipe, store, epoch)
    except (EnvbuildError, OSError):
        return False
    return image is not None and image.digest == base.digest


def _revision(store: Store, base: Image, folder: str) -> str:
    """Return `git:COMMIT:/FILE` of a commit of the folder's repository whose lock has the image; "" without one."""
    git_dir = git_dir_of(folder)
    if git_dir is None:
        return ""
    root = os.path.dirname(git_dir)
    for move in store.tags.moves_to(base.digest):
        file = str(move.known.get("file", ""))
        if move.action != BUILD or not file or not is_plain(os.fsencode(file)):
            continue
        if os.path.realpath(str(move.known.get("root", ""))) != root:
            continue
        with BuildCommits() as commits:
            commit, _ = commits.of(move)
        try:
            if commit and find_image(store, f"git:{commit}:/{file}", root).digest == base.digest:
                return f"git:{commit[:12]}:/{file}"
        except (EnvbuildError, OSError):
            continue
    return ""
