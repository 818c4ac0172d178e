"""du: what the store takes on disk, and what each image has that no other has."""

from __future__ import annotations

import os
from collections.abc import Iterable

from envbuild.record import Record
from envbuild.store.store import Store
from envbuild.tree.entry import FILE, Digest, object_id
from envbuild.tree.lookup import walk

NOT_CACHE = ("instances", "volumes")
"""The directories of a store whose content can't be made again."""


class ImageUsage(Record):
    """Bytes of an image's files, each distinct one once: all, and those that no other image has."""

    image: Digest
    size: int
    own: int


class Usage(Record):
    """Bytes on disk by part of the store; `files` counts the pool's inodes. `each_instance` and `each_volume` are names
    with their share."""

    objects: int
    files: int
    layers: int
    database: int
    caches: int
    packages: int
    work: int
    instances: int
    volumes: int
    images: tuple[ImageUsage, ...]
    each_instance: tuple[tuple[str, int], ...]
    each_volume: tuple[tuple[str, int], ...]

    @property
    def total(self) -> int:
        """All of it."""
        kept = self.objects + self.layers + self.database + self.caches + self.packages + self.work
        return kept + self.instances + self.volumes


def measure(store: Store) -> int:
    """Return the bytes that the store takes on disk for what it can make again: all but instances and volumes."""
    seen: set[tuple[int, int]] = set()
    return _measure(store.path, seen, leave_out=tuple(f"{store.path}/{name}" for name in NOT_CACHE))


def measure_folder(path: str) -> int:
    """Return the bytes on disk of all that is in a directory."""
    return _measure(path, set())


def usage(store: Store, instances: Iterable[tuple[str, str]], volumes: Iterable[tuple[str, str]]) -> Usage:
    """Measure the store, with the names and paths of its `instances` and `volumes`. Files that are in the pool and in
    layers count once, for the pool."""
    seen: set[tuple[int, int]] = set()
    objects = _measure(store.objects.path, seen)
    files = len(seen)
    database = sum(
        os.path.getsize(f"{store.path}/{name}") for name in os.listdir(store.path) if name.startswith("store.db")
    )
    layers = _measure(store.stacks.path, seen)
    each_instance = tuple((name, _measure(folder, seen)) for name, folder in instances)
    each_volume = tuple((name, _measure(folder, seen)) for name, folder in volumes)
    return Usage(
        objects=objects,
        files=files,
        layers=layers,
        database=database,
        caches=_measure(f"{store.path}/caches", seen),
        packages=_measure(store.packages_path, seen),
        work=_measure(store.work.path, seen),
        instances=sum(size for _, size in each_instance),
        volumes=sum(size for _, size in each_volume),
        images=_images(store),
        each_instance=each_instance,
        each_volume=each_volume,
    )


def _measure(path: str, seen: set[tuple[int, int]], leave_out: tuple[str, ...] = ()) -> int:
    total = 0
    for where, folders, names in os.walk(path, onerror=_unreadable):
        folders[:] = [name for name in folders if f"{where}/{name}" not in leave_out]
        for name in ("", *names):
            try:
                status = os.lstat(f"{where}/{name}" if name else where)
            except FileNotFoundError:
                continue  # an instance has removed it meanwhile
            if (status.st_dev, status.st_ino) not in seen:
                # Directories are not pooled: counting them as seen would make the number of files wrong.
                if name:
                    seen.add((status.st_dev, status.st_ino))
                total += status.st_blocks * 512
    return total


def _unreadable(error: OSError) -> None:
    """Raise an error for a directory that may not be read; one that was removed meanwhile takes nothing."""
    if isinstance(error, PermissionError):
        raise error


def _images(store: Store) -> tuple[ImageUsage, ...]:
    held: dict[Digest, dict[Digest, int]] = {}
    users: dict[Digest, int] = {}
    for image in store.images.all():
        files = {object_id(e): e.size for _, e in walk(store.trees, image.tree) if e.kind == FILE}
        held[image.digest] = files
        for identity in files:
            users[identity] = users.get(identity, 0) + 1
    return tuple(
        ImageUsage(digest, sum(files.values()), sum(size for one, size in files.items() if users[one] == 1))
        for digest, files in held.items()
    )
