"""Signatures of images, kept beside them as they were made or came from elsewhere.

`signatures/IMAGE/HEX` is a bundle under the sha256 of its bytes. That it is there says nothing: whoever asks holds it
against the keys that they trust.
"""

from __future__ import annotations

import os
from hashlib import sha256

from envbuild.linux.rmtree import remove
from envbuild.tree.entry import Digest

MAX_KEPT = 100
"""Signatures of one image."""
MAX_SIZE = 24 << 20
"""Bytes of one signature."""


class Signatures:
    """The signatures of the images of one store."""

    def __init__(self, path: str) -> None:
        self.path = path

    def of(self, image: Digest) -> list[bytes]:
        """Return the signatures that are kept of an image, as they are."""
        bundles = []
        for name in self._names(image):
            try:
                with open(f"{self.path}/{image}/{name}", "rb") as file:
                    bundles.append(file.read(MAX_SIZE + 1))
            except FileNotFoundError:
                continue
        return [bundle for bundle in bundles if len(bundle) <= MAX_SIZE]

    def put(self, image: Digest, bundle: bytes) -> bool:
        """Keep a signature of an image, and return whether there was room for it."""
        name = sha256(bundle).hexdigest()
        kept = self._names(image)
        if name in kept:
            return True
        if len(kept) >= MAX_KEPT or len(bundle) > MAX_SIZE:
            return False
        folder = f"{self.path}/{image}"
        os.makedirs(folder, mode=0o700, exist_ok=True)
        temporary = f"{folder}/.{name}.{os.getpid()}"
        with open(temporary, "wb") as file:
            file.write(bundle)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, f"{folder}/{name}")
        return True

    def images(self) -> list[Digest]:
        """Return the images that have signatures."""
        try:
            return sorted(os.listdir(self.path))
        except FileNotFoundError:
            return []

    def drop(self, image: Digest) -> None:
        """Remove the signatures of an image."""
        remove(f"{self.path}/{image}")

    def _names(self, image: Digest) -> list[str]:
        try:
            return sorted(name for name in os.listdir(f"{self.path}/{image}") if not name.startswith("."))
        except FileNotFoundError:
            return []
