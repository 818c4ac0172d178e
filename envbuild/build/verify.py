"""Builds an image again from what was kept of its build, and holds the result against it."""

from __future__ import annotations

import os
import tempfile

from envbuild.build.build import build
from envbuild.build.check_differences import differences
from envbuild.build.events import Emit
from envbuild.build.request import BuildRequest
from envbuild.build.source_tree import check_out
from envbuild.errors import UsageError, fields
from envbuild.images.build_steps import put_together
from envbuild.lockfile.lock import EARLIER
from envbuild.record import Record
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.tree.diff import aspects, diff
from envbuild.tree.entry import Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Verified(Record):
    """What the image is and what came out this time; `differing` are lines that say how their files differ."""

    image: str
    rebuilt: str
    differing: tuple[str, ...]


@fields
class NoSources(UsageError):
    """Nothing was kept of what an image was built from."""

    reference: str

    def text(self) -> tuple[str, str]:
        return (
            f"what {self.reference} was built from is not on record",
            "an earlier envbuild made it, or a file changed while it was built: build its recipe again",
        )


@fields
class WasCommitted(UsageError):
    """An image that was made of an instance, and by no build."""

    reference: str
    instance: str

    def text(self) -> tuple[str, str]:
        return (
            f"{self.reference} was made of the instance {self.instance}, and no build made it",
            f"build the recipe that `envbuild commit` wrote, and compare: envbuild diff {self.reference} NAME",
        )


@fields
class WasPutTogether(UsageError):
    """An image that a merge or a rebase made of others, and no build."""

    reference: str
    by: str

    def text(self) -> tuple[str, str]:
        return (
            f"{self.reference} was put together by a {self.by}, and no build made it",
            f"build the recipe, and compare: envbuild diff {self.reference} NAME",
        )


@fields
class NeedsSecrets(UsageError):
    """The build was given secrets, which are never kept."""

    names: list[str]

    def text(self) -> tuple[str, str]:
        return (
            f"the build was given secrets, and they are not on record: {', '.join(self.names)}",
            "give them again: " + " ".join(f"--secret {name}=FILE" for name in self.names),
        )


def verify(store: Store, image: Image, reference: str, request: BuildRequest, emit: Emit) -> Verified:
    """Run every step of the image's build again, from the recorded recipe, lock and files and on the recorded bases.

    Neither tags nor locks nor the cache change. `request` is what is not on record: jobs, secrets, network, home.
    Raises NoSources, WasCommitted, WasPutTogether, NeedsSecrets, and what a build raises.
    """
    detail: dict[str, Any] = image.known
    if "commit" in detail:
        raise WasCommitted(reference, detail["commit"]["instance"])
    for kind in put_together(image):
        raise WasPutTogether(reference, kind.lower())
    sources: dict[str, Any] = detail.get("sources", {})
    if not {"tree", "recipe", "locks"} <= sources.keys() or not store.trees.has(sources["tree"]):
        raise NoSources(reference)
    missing = [name for name in sources.get("secrets", ()) if name not in dict(request.secrets)]
    if missing:
        raise NeedsSecrets(missing)
    with tempfile.TemporaryDirectory(prefix="envbuild-verify-") as folder:
        check_out(store, sources, folder)
        result = build(
            request.replace(
                path=os.path.join(folder, sources["recipe"]),
                project=os.path.realpath(folder),
                settings=tuple(sources.get("settings", {}).items()),
                stage=sources.get("stage"),
                epoch=sources.get("epoch"),
                use_cache=False,
                record=False,
            ),
            store,
            emit,
        )
    if result.image == image.digest:
        return Verified(image.digest, result.image, ())
    if _differ_in_times(store, image.tree, result.tree) and any(
        "\nversion: 1\n" in text for text in sources["locks"].values()
    ):
        return Verified(image.digest, result.image, (f"nothing but times: {EARLIER}",))
    lines = differences(store, image.tree, result.tree, ("the image", "the build of now"))
    return Verified(image.digest, result.image, tuple(lines) or ("its facts differ, and none of its files",))


def _differ_in_times(store: Store, first: Digest, second: Digest) -> bool:
    """Return whether two trees have the same files with the same contents, at other times."""
    return all(aspects(change) == ("time",) for change in diff(store.trees, first, second))
