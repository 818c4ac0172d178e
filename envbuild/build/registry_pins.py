"""What a lock pins of a `registry:` base, and the image of the store that this is."""

from __future__ import annotations

from envbuild.record import Record
from envbuild.sharing.known_manifests import image_of
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.text.pattern import Pattern

_DIGEST = r"sha256:[0-9a-f]{64}"
_FORM = Pattern(f"manifest ({_DIGEST})(?: of index ({_DIGEST}))?")


class RegistryPin(Record):
    """The digest of the manifest of the image for a machine like this one, by which it is fetched, and that of the
    index of several that the base's name meant; "" where the name meant the manifest itself."""

    manifest: str
    index: str = ""

    @property
    def text(self) -> str:
        """What stands in a lock as the origin of the base."""
        return f"manifest {self.manifest}" + (f" of index {self.index}" if self.index else "")

    @property
    def named(self) -> str:
        """The digest that the base's name had in its registry, the same on all machines."""
        return self.index or self.manifest


def pin_of(origin: str) -> RegistryPin | None:
    """Return what an origin pins, None where it pins nothing, as after a merge."""
    match = _FORM.fullmatch(origin)
    return RegistryPin(match[1], match[2] or "") if match is not None else None


def known_image(store: Store, pin: RegistryPin) -> Image | None:
    """Return the image that a pin means, None if the store does not have it whole. Which image a manifest is, the store
    knows by itself: a lock could name any image of this machine."""
    return image_of(store, pin.manifest)
