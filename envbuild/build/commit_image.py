"""The image of a recipe in a commit: the one that the store has, or else built from the commit's files."""

from __future__ import annotations

import os

from envbuild.build.build import build, cached_job
from envbuild.build.events import Emit
from envbuild.build.lock_status import image_in_commit
from envbuild.build.publish import image_of
from envbuild.build.request import BuildRequest
from envbuild.git.checkout import checked_out
from envbuild.git.repository import Repository
from envbuild.store.images import Image
from envbuild.store.store import Store


def image_of_commit(
    store: Store, repository: Repository, commit: str, recipe: str, request: BuildRequest, emit: Emit
) -> Image:
    """Return the image of a recipe, by its path in the repository, in a commit.

    What neither the store nor a shared cache has runs; no tag moves, and nothing is written to the repository. Raises
    what a build raises, and NotInRevision where the commit has no such recipe.
    """
    repository.read(commit, recipe)  # says so if it is not there
    known = image_in_commit(store, repository.root, commit, recipe)
    image = store.images.get(known.image) if known.image and known.proven else None
    if image is not None and store.trees.has(image.tree):
        return image
    with checked_out(repository, commit) as folder:
        asked = request.replace(path=f"{folder}/{recipe}", project=os.path.realpath(folder), publish=False)
        build(asked, store, emit)
        job = cached_job(asked, store)
        image = image_of(job, job.graph.top)
    if store.images.get(image.digest) is None:
        store.images.put(image)
    return image
