"""The base that an image is put on: an image of the store, or what a recipe may begin with (`debian:bookworm`), made
as a build makes it."""

from __future__ import annotations

import os
import tempfile

from envbuild.build.build import cached_job
from envbuild.build.events import Emit
from envbuild.build.image_files import ORIGIN
from envbuild.build.named_image import find_image
from envbuild.build.request import BuildRequest
from envbuild.images.find import facts_of
from envbuild.plan.image_config import Facts
from envbuild.record import Record
from envbuild.store.store import Store
from envbuild.tree.entry import Digest

NEW = "@new"
"""Behind a base that a recipe may begin with: as it is today, and not as this store made it last."""
_MADE = ("debian:", "registry:")
_BARE = ("host", "scratch")
_IMAGE = "image:"


class NewBase(Record):
    """What an image is put on: the tree, the facts that come with it, its text as it was named, and where it comes from
    as a record of a build has it (`origin`)."""

    tree: Digest
    facts: Facts
    name: str
    origin: str

    @property
    def text(self) -> str:
        """What stands behind `from` in the record of an image that begins with it."""
        return f"image:{self.name}" if self.origin.startswith(ORIGIN) else self.name.removesuffix(NEW)


def new_base(store: Store, text: str, request: BuildRequest, emit: Emit) -> NewBase:
    """Return the base that `text` names; one that has to be made is made, as `request` says of the user.

    Raises what looking for an image raises, and what a build raises.
    """
    plain = text.removesuffix(NEW)
    if not plain.startswith(_MADE) and plain not in _BARE:
        image = find_image(store, text.removeprefix(_IMAGE))
        return NewBase(image.tree, facts_of(image), text.removeprefix(_IMAGE), f"{ORIGIN}{image.digest}")
    with tempfile.TemporaryDirectory(prefix="envbuild-base-") as folder:
        path = os.path.join(os.path.realpath(folder), "base.env")
        with open(path, "x", encoding="utf-8") as file:
            file.write(f"from {plain}\n")
        asked = request.replace(path=path, refresh=text.endswith(NEW), publish=False)
        job = cached_job(asked, store)
        if not job.progress.complete:
            from envbuild.build.scheduler import Scheduler  # sandbox and threads: only where it has to be made

            job.reporter.emit = emit
            Scheduler(job).run()
        at = job.progress[job.graph.top.target]
        return NewBase(at.tree, at.facts, text, at.base.origin)
