"""What a recipe comes to as it is now, as far as the store knows: a build that runs and writes nothing."""

from __future__ import annotations

from envbuild.build.image_record import image_of
from envbuild.build.loader import load_all
from envbuild.build.named_image import fits
from envbuild.build.request import BuildRequest, Pairs
from envbuild.build.state import Session
from envbuild.store.images import Image
from envbuild.store.store import Store


def built_image(path: str, store: Store, epoch: int | None = None, settings: Pairs = ()) -> Image | None:
    """The image of the recipe at `path` as it is, with these parameters, None if a part of it was not built yet.

    Raises the errors of a build that can't begin: RecipeErrors, ContextError, BadLock.
    """
    session = Session(BuildRequest(path=path, settings=settings, epoch=epoch), store, lambda event: None, fits)
    load_all(session)
    if not session.go_along_cache():
        return None
    one = session.recipes[-1]
    image = image_of(one.recipe, one.runs, one.target)
    return store.images.get(image.digest) or image
