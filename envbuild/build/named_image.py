"""The image that a user names, in any form."""

from __future__ import annotations

from envbuild.store.images import Image
from envbuild.store.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.images.find import InCommit


def find_image(store: Store, reference: str, folder: str = ".") -> Image:
    """Return the image that `reference` names: by a name, a digest or a revision of git, as `look_up` says."""
    from envbuild.images.find import look_up  # a build that names no image needs none of it

    return look_up(store, reference, folder, fits)


def fits(store: Store, folder: str, commit: str, path: str) -> InCommit:
    """Return what a recipe gives in a commit, as `look_up` asks for it."""
    from envbuild.build.lock_status import image_in_commit  # only where a revision is named

    return image_in_commit(store, folder, commit, path)
