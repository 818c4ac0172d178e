"""The images of services: named ones are looked up, those of recipes are built first where needed."""

from __future__ import annotations

import os

from envbuild.build.build import built_image
from envbuild.build.named_image import find_image
from envbuild.compose.file.model import Group, Recipe, Service
from envbuild.compose.file.reader import ServiceErrors
from envbuild.compose.members import BUILDING, Emit, Progressed
from envbuild.errors import EnvbuildError, WorkFailed, fields
from envbuild.images.names import kept_reference, place_of
from envbuild.images.reference import LATEST
from envbuild.linux.forked import call_in_child
from envbuild.lockfile.lock import path_of
from envbuild.store.images import Image
from envbuild.store.project import split_project
from envbuild.store.store import Store
from envbuild.store.tags import Tag
from envbuild.text.diagnostics import Diagnostic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@fields
class NotBuilt(WorkFailed):
    """A recipe has changed since it was built, and --no-build was given."""

    path: str

    def text(self) -> tuple[str, str]:
        return f"{self.path} has changed since it was built", f"leave out --no-build, or: envbuild build {self.path}"


@fields
class ChangedWhileBuilt(WorkFailed):
    """A recipe was edited while its build ran."""

    path: str

    def text(self) -> tuple[str, str]:
        return f"{self.path} changed while it was built", "run the same command again"


def find_images(
    store: Store,
    group: Group,
    services: Sequence[Service],
    build: Callable[[Recipe], None] | None,
    emit: Emit,
    epoch: int | None = None,
) -> dict[str, tuple[Image, str]]:
    """Return (image, reference) of each service, by its name.

    `build` builds a recipe and is called in a child process; None if nothing is to be built. All images are looked up
    before the first build. Raises ServiceErrors, NotBuilt, and the errors of loading and building a recipe.
    """
    images: dict[str, tuple[Image, str]] = {}
    wrong: list[Diagnostic] = []
    for service in services:
        try:
            if service.recipe is not None and not os.path.isfile(service.recipe.path):
                wrong.append(
                    group.problem(service.origin, f"there is no recipe {service.recipe.path}", "write it first")
                )
            elif service.image is not None:
                folder = os.path.dirname(group.file) or "."
                image = find_image(store, service.image, folder)
                images[service.name] = image, kept_reference(store, service.image, folder)
        except EnvbuildError as error:
            wrong.append(group.problem(service.origin, error.message, error.hint))
    if wrong:
        raise ServiceErrors(wrong)
    made: dict[Recipe, Image] = {}
    for service in services:
        if service.recipe is None:
            continue
        if service.recipe not in made:
            made[service.recipe] = _built(store, service.name, service.recipe, build, emit, epoch)
        images[service.name] = made[service.recipe], _tag(store, service.recipe.path, made[service.recipe])
    return images


def _built(
    store: Store, service: str, recipe: Recipe, build: Callable[[Recipe], None] | None, emit: Emit, epoch: int | None
) -> Image:
    image = built_image(recipe.path, store, epoch, recipe.settings)
    if image is None or store.images.get(image.digest) is None or not os.path.exists(path_of(recipe.path)):
        if build is None:
            raise NotBuilt(recipe.path)
        emit(Progressed(service, BUILDING, recipe.path))
        # A build enters its namespace and has threads; instances are started from a process that has neither.
        call_in_child(lambda: build(recipe))
        image = built_image(recipe.path, store, epoch, recipe.settings)
    if image is None:
        raise ChangedWhileBuilt(recipe.path)
    return image


def _tag(store: Store, recipe: str, image: Image) -> str:
    """Return the name for the record of an instance: of the image's tags first those of the recipe's branch, then
    `latest`, then others of its project."""
    place = place_of(os.path.dirname(recipe))

    def rank(tag: Tag) -> tuple[bool, bool, bool]:
        return split_project(tag.name)[0] != place.id, tag.tag != place.branch, tag.tag != LATEST

    tags = [tag.full for tag in sorted(store.tags.all(image.digest), key=rank)]
    return tags[0] if tags else image.digest[:12]
