"""du: what the store takes on disk, and what each image has that no other has."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from envbuild.record import Record
from envbuild.store.store import Store
from envbuild.tree.entry import FILE, Digest, object_id
from envbuild.tree.lookup import walk

Report = Callable[[str, int, int], None]
"""Is called often with what a long command works on, how much of it is done, and how much there is."""
NOT_CACHE = ("instances", "volumes", "signatures")
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
    exported: int
    work: int
    instances: int
    volumes: int
    images: tuple[ImageUsage, ...]
    each_instance: tuple[tuple[str, int], ...]
    each_volume: tuple[tuple[str, int], ...]

    @property
    def total(self) -> int:
        """All of it."""
        kept = self.objects + self.layers + self.database + self.caches + self.packages + self.exported + self.work
        return kept + self.instances + self.volumes


def say_nothing(what: str, done: int, total: int) -> None:
    """Be the Report of a command that nobody watches."""


def measure(store: Store, report: Report = say_nothing) -> int:
    """Return the bytes that the store takes on disk for what it can make again: all but instances and volumes."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for name in sorted(os.listdir(store.path)):
        if name not in NOT_CACHE:
            total += _measure(f"{store.path}/{name}", seen, report)
    return total


def measure_folder(path: str) -> int:
    """Return the bytes on disk of all that is in a directory."""
    return _measure(path, set())


def usage(
    store: Store,
    instances: Iterable[tuple[str, str]],
    volumes: Iterable[tuple[str, str]],
    report: Report = say_nothing,
) -> Usage:
    """Measure the store, with the names and paths of its `instances` and `volumes`. Files that are in the pool and in
    layers count once, for the pool."""
    seen: set[tuple[int, int]] = set()
    objects = _measure(store.objects.path, seen, report)
    files = len(seen)
    database = sum(
        os.path.getsize(f"{store.path}/{name}") for name in os.listdir(store.path) if name.startswith("store.db")
    )
    layers = _measure(store.stacks.path, seen, report)
    each_instance = tuple((name, _measure(folder, seen, report, name)) for name, folder in instances)
    each_volume = tuple((name, _measure(folder, seen, report, name)) for name, folder in volumes)
    return Usage(
        objects=objects,
        files=files,
        layers=layers,
        database=database,
        caches=_measure(f"{store.path}/caches", seen, report),
        packages=_measure(store.packages_path, seen, report),
        exported=_measure(store.blobs.path, seen, report),
        work=_measure(store.work.path, seen, report),
        instances=sum(size for _, size in each_instance),
        volumes=sum(size for _, size in each_volume),
        images=_images(store, report),
        each_instance=each_instance,
        each_volume=each_volume,
    )


def _measure(path: str, seen: set[tuple[int, int]], report: Report = say_nothing, what: str = "") -> int:
    """Return the bytes on disk of what lies at `path` and is not `seen`; its progress is told as `what`."""
    if not os.path.isdir(path):
        return os.lstat(path).st_blocks * 512 if os.path.lexists(path) else 0
    total = done = of = 0
    for where, folders, names in os.walk(path, onerror=_unreadable):
        if where == path:
            of = len(folders)
        elif os.path.dirname(where) == path:
            report(what or os.path.basename(path), done, of)
            done += 1
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


def _images(store: Store, report: Report) -> tuple[ImageUsage, ...]:
    held: dict[Digest, dict[Digest, int]] = {}
    users: dict[Digest, int] = {}
    images = store.images.all()
    for number, image in enumerate(images):
        report("images", number, len(images))
        files = {object_id(e): e.size for _, e in walk(store.trees, image.tree) if e.kind == FILE}
        held[image.digest] = files
        for identity in files:
            users[identity] = users.get(identity, 0) + 1
    return tuple(
        ImageUsage(digest, sum(files.values()), sum(size for identity, size in files.items() if users[identity] == 1))
        for digest, files in held.items()
    )
