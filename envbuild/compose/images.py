"""The images of services: those that are named are looked up, those of recipes are built first if they have to be."""

from __future__ import annotations

import os

from envbuild.build.build import built_image
from envbuild.build.named_image import find_image
from envbuild.compose.events import BUILDING, Emit, Told
from envbuild.compose.file.model import Group, Recipe, Service
from envbuild.compose.file.reader import ServiceErrors
from envbuild.errors import EnvbuildError, WorkFailed
from envbuild.images.reference import LATEST
from envbuild.lockfile.lock import path_of
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.text.diagnostics import Diagnostic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class NotBuilt(WorkFailed):
    """A recipe would have to be built, and that was not wanted."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is not built as it is", f"leave out --no-build, or: envbuild build {path}")


def find_images(
    store: Store,
    group: Group,
    services: Sequence[Service],
    build: Callable[[Recipe], None] | None,
    emit: Emit,
    epoch: int | None = None,
) -> dict[str, tuple[Image, str]]:
    """(image, how it was named) of each service, by its name.

    `build` builds a recipe in a process of its own, None if nothing is to be built. All images are looked up before the
    first build. Raises ServiceErrors, NotBuilt and the errors of loading a recipe.
    """
    found: dict[str, tuple[Image, str]] = {}
    wrong: list[Diagnostic] = []
    for one in services:
        try:
            if one.recipe is not None and not os.path.isfile(one.recipe.path):
                wrong.append(group.problem(one.origin, f"there is no recipe {one.recipe.path}", "write it first"))
            elif one.image is not None:
                folder = os.path.dirname(group.file) or "."
                found[one.name] = find_image(store, one.image, folder), one.image
        except EnvbuildError as error:
            wrong.append(group.problem(one.origin, error.message, error.hint))
    if wrong:
        raise ServiceErrors(wrong)
    made: dict[Recipe, Image] = {}
    for one in services:
        if one.recipe is None:
            continue
        if one.recipe not in made:
            made[one.recipe] = _built(store, one.name, one.recipe, build, emit, epoch)
        found[one.name] = made[one.recipe], _tag(store, made[one.recipe])
    return found


def _built(
    store: Store, service: str, recipe: Recipe, build: Callable[[Recipe], None] | None, emit: Emit, epoch: int | None
) -> Image:
    image = built_image(recipe.path, store, epoch, recipe.settings)
    if image is None or store.images.get(image.digest) is None or not os.path.exists(path_of(recipe.path)):
        if build is None:
            raise NotBuilt(recipe.path)
        emit(Told(service, BUILDING, recipe.path))
        build(recipe)
        image = built_image(recipe.path, store, epoch, recipe.settings)
    if image is None:
        raise WorkFailed(f"{recipe.path} changed while it was built", "run the same command again")
    return image


def _tag(store: Store, image: Image) -> str:
    tags = [one.full for one in store.tags.all(image.digest)]
    latest = [one for one in tags if one.endswith(f":{LATEST}")]
    return [*latest, *tags, image.digest[:12]][0]
