"""The image of a recipe in a commit: the one that the store has, or the one that a build of the commit's files gave."""

from __future__ import annotations

import os

from envbuild.build.build import cached_job
from envbuild.build.lock_status import image_in_commit
from envbuild.build.publish import image_of
from envbuild.build.request import BuildRequest
from envbuild.errors import WorkFailed, fields
from envbuild.git.repository import Repository
from envbuild.store.images import Image
from envbuild.store.store import Store


@fields
class NotBuilt(WorkFailed):
    """A build whose results the store does not have any more."""

    path: str

    def text(self) -> tuple[str, str]:
        return f"not all that was built of {os.path.basename(self.path)} is in the store", "run the same command again"


def image_in_store(store: Store, repository: Repository, commit: str, recipe: str) -> Image | None:
    """Return the image that a recipe, by its path in the repository, gives in a commit, if the store has it. Raises
    NotInRevision where the commit has no such recipe."""
    repository.read(commit, recipe)
    known = image_in_commit(store, repository.root, commit, recipe)
    image = store.images.get(known.image) if known.image and known.proven else None
    return image if image is not None and store.trees.has(image.tree) else None


def recorded_image(store: Store, request: BuildRequest) -> Image:
    """Put the image of a build that is over on record, without a tag, and return it. The process has the rights of the
    user, as those of a build. Raises NotBuilt."""
    job = cached_job(request, store)
    if not job.progress.complete:
        raise NotBuilt(request.path)
    image = image_of(job, job.graph.top)
    if store.images.get(image.digest) is None:
        store.images.put(image)
    return image
