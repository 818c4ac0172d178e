"""Whether the policies let a recipe begin with an image of a registry or of a file. Loaded where there are policies."""

from __future__ import annotations

from envbuild.build.registry_images import name_of
from envbuild.language.base_kinds import ImageFileBase, RegistryBase
from envbuild.sharing.image_trust import Trust
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.trust.evidence import Untrusted
from envbuild.trust.policy import Name


def check_base(trust: Trust, store: Store, base: ImageFileBase | RegistryBase, image: Image) -> None:
    """Raise Untrusted for an image of the store that a recipe may not begin with."""
    name = name_of(base) if isinstance(base, RegistryBase) else Name(f"oci:{base.path}")
    trust.check_base(store, image, name)


def may_begin(trust: Trust, store: Store, base: RegistryBase, image: Image, *, offline: bool) -> bool:
    """Return whether a recipe may begin with an image that was pulled before. If not, its registry may have signatures
    that were not there then; with `offline`, Untrusted is raised."""
    try:
        check_base(trust, store, base, image)
    except Untrusted:
        if offline:
            raise
        return False
    return True
