"""The base `oci:`: an image of other tools in a file or folder of the context, whose facts come along."""

from __future__ import annotations

from collections.abc import Callable

from envbuild.images.find import facts_of
from envbuild.linux.machine import architecture
from envbuild.oci.config import platform_of
from envbuild.sharing.image_file import ImageFile
from envbuild.sharing.import_image import choose, import_image
from envbuild.sharing.platform_choice import ImageInFile
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.tree.target import TreeTarget

ORIGIN = "image sha256:"
"""How the origin of a base begins that is an image."""


class PreparedImage:
    """An image that is ready to be taken into the store."""

    epoch = 0

    def __init__(self, file: ImageFile, image: ImageInFile, report: Callable[[int, int], None]) -> None:
        self._file = file
        self._image = image
        self._report = report
        self.identity = file.shown
        self.notes: tuple[str, ...] = ()

    def take(self, store: Store) -> Image:
        """Put it into the store, and note what could not be taken. Raises BadImage and ArchiveError."""
        imported = import_image(store, self._file, self._image, lambda _, done, total: self._report(done, total))
        self.notes = imported.notes
        return imported.image

    def write(self, target: TreeTarget) -> None:
        raise AssertionError("an image is taken as a whole")

    def close(self) -> None:
        """Do nothing."""


def prepare_image(
    path: str, tag: str, platform: str, scratch: str, report: Callable[[int, int], None]
) -> PreparedImage:
    """Look for the image in a file or folder that is for a platform, "" for this machine. Raises BadImage."""
    file = ImageFile(path, scratch)
    images = file.images(*words_of(platform))
    return PreparedImage(file, choose(images, tag, file.shown, "oci:PATH:TAG"), report)


def words_of(platform: str) -> tuple[str, str]:
    """Return the architecture and its variant that `platform=` says, in OCI's words; of "", this machine's."""
    if platform:
        _, name, variant = f"{platform}/".split("/")[:3]
        return name, variant
    here = platform_of(architecture())
    return here["architecture"], here.get("variant", "")


def image_of_origin(store: Store, origin: str) -> Image | None:
    """Return the image that the origin of a locked base names, None if the store doesn't have it whole."""
    if not origin.startswith(ORIGIN):
        return None
    image = store.images.get(origin.removeprefix(ORIGIN))
    if image is None or not store.trees.has(image.tree):
        return None
    facts_of(image)  # a record that is not what its digest says is damage
    return image
