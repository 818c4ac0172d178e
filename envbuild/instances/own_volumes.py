"""The volumes that an image declares with `volume DIR`: each instance that outlives its command has fresh ones.

One that goes with its command needs none: what it writes there goes with it, too.
"""

from __future__ import annotations

import os

from envbuild.instances.config import VOLUME, Mount, Settings
from envbuild.plan.image_config import Facts

MAX_VOLUMES = 100
"""An image that declares more means harm."""
_KERNELS = ("", "proc", "sys", "dev")
"""Where no volume is mounted: the root, and what the kernel shows."""
MAX_NAME = 60
"""Characters of a volume's name that say where it is mounted and whose it is."""


def undeclared(facts: Facts, mounts: tuple[Mount, ...]) -> tuple[str, ...]:
    """Return the directories that an image declares and on which nothing is mounted yet."""
    taken = {os.path.normpath(mount.target) for mount in mounts}
    clean = (os.path.normpath("/" + path.lstrip("/")) for path in facts.volumes if "\0" not in path)
    free = (path for path in dict.fromkeys(clean) if path not in taken and path.split("/")[1] not in _KERNELS)
    return tuple(free)[:MAX_VOLUMES]


def with_own_volumes(settings: Settings, facts: Facts, stem: str) -> Settings:
    """Return the settings with a volume of the instance's own on each directory that the image declares. `stem` begins
    their names, which nothing else has."""
    fresh = [
        Mount(VOLUME, f"{slug(stem)}-{slug(path)}-{os.urandom(4).hex()}", path)
        for path in undeclared(facts, settings.mounts)
    ]
    return add_volumes(settings, fresh)


def add_volumes(settings: Settings, fresh: list[Mount]) -> Settings:
    """Return the settings with mounts of the instance's own: what lies below another mount is mounted after it."""
    if not fresh:
        return settings
    mounts = sorted((*settings.mounts, *fresh), key=lambda mount: os.path.normpath(mount.target).count("/"))
    own = (*settings.own_volumes, *(mount.source for mount in fresh))
    return settings.replace(mounts=tuple(mounts), own_volumes=own)


def slug(text: str) -> str:
    """Return a part of a volume's name that says what `text` does."""
    plain = "".join(letter if (letter.isascii() and letter.isalnum()) or letter in "._" else "-" for letter in text)
    return plain.strip("-._")[:MAX_NAME] or "volume"
