"""Named volumes: directories of data that outlive the instances that use them. `volumes/NAME/data` is what is mounted.

One is made, and taken away, in `work/`: so a half is never seen, and what a crash leaves is tidied up.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from envbuild.errors import UsageError, WorkFailed, fields
from envbuild.instances.instance_names import check_name
from envbuild.linux.attributes import apply_attributes
from envbuild.record import Record
from envbuild.store.images import sync_file_system
from envbuild.store.objects import Objects
from envbuild.store.store import Store
from envbuild.store.trees import StoredTrees
from envbuild.store.work_area import WorkArea
from envbuild.text.suggestion import did_you_mean
from envbuild.tree.diff import own
from envbuild.tree.entry import DIRECTORY, FIFO, FILE, LINK, ROOT_NAME, Digest, Entry
from envbuild.tree.lookup import lookup


class Volume(Record):
    """One volume: its name, the path of its data on the host, and when it was made (seconds since 1970)."""

    name: str
    path: str
    made: float


@fields
class NoSuchVolume(UsageError):
    """No volume has this name."""

    name: str
    names: tuple[str, ...] = ()

    def text(self) -> tuple[str, str]:
        hint = did_you_mean(self.name, self.names, "`envbuild volume ls` lists the volumes")
        return f"there is no volume '{self.name}'", hint


@fields
class VolumeExists(WorkFailed):
    """Another volume has this name."""

    name: str

    def text(self) -> tuple[str, str]:
        return f"there is a volume '{self.name}' already", f"see: envbuild volume show {self.name}"


class Volumes:
    """The volumes of one store."""

    def __init__(self, path: str, trees: StoredTrees, objects: Objects, work: WorkArea) -> None:
        self.path = path
        self._trees = trees
        self._objects = objects
        self._work = work

    @classmethod
    def of(cls, store: Store) -> Volumes:
        """Return the volumes of an open store."""
        return cls(f"{store.path}/volumes", store.trees, store.objects, store.work)

    def all(self) -> list[Volume]:
        """Return all volumes, sorted by name."""
        if not os.path.isdir(self.path):
            return []
        volumes = [self._at(name) for name in sorted(os.listdir(self.path))]
        return [volume for volume in volumes if volume is not None]

    def get(self, name: str) -> Volume | None:
        """Return the volume of this name."""
        check_name(name, "a volume")
        return self._at(name)

    def find(self, name: str) -> Volume:
        """Return the volume of this name. Raises NoSuchVolume."""
        volume = self.get(name)
        if volume is None:
            raise NoSuchVolume(name, tuple(volume.name for volume in self.all()))
        return volume

    def make(self, name: str, tree: Digest | None = None, target: str = "/") -> Volume:
        """Return the volume of this name. A new one begins as a copy of what `tree` has at `target`, with its owners,
        so that what an image prepared there is in place; without that it is an empty folder of root.

        Several may make one at a time: they all get the one that was ready first.
        """
        known = self.get(name)
        if known is not None:
            return known

        def fill(data: str) -> None:
            entry = lookup(self._trees, tree, target.strip("/").encode()) if tree is not None else None
            if entry is not None and entry.kind == DIRECTORY:
                self._fill(data, entry.digest)
                apply_attributes(data, own(entry), owners=self._objects.owners)

        try:
            return self._publish(name, fill)
        except VolumeExists:
            return self.find(name)

    def create(self, name: str) -> Volume:
        """Return a new, empty volume. Raises VolumeExists."""
        if self.get(name) is not None:
            raise VolumeExists(name)
        return self._publish(name, lambda data: None)

    def copy(self, source: Volume, name: str) -> Volume:
        """Return a new volume with what another one holds now: with owners, times, attributes and links.

        Raises VolumeExists.
        """
        from envbuild.linux.safe_copy import Copier, Rules  # not at every start

        def fill(data: str) -> None:
            copier = Copier(Rules(owners=self._objects.owners, special=True, pipes=True))
            held = [os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) for path in (source.path, data)]
            try:
                copier.contents(held[0], held[1])
                copier.attributes(held[1], held[0])
            finally:
                for descriptor in held:
                    os.close(descriptor)

        return self._publish(name, fill)

    def remove(self, volume: Volume) -> None:
        """Take a volume away with all that is in it."""
        with self._work.workspace() as space:
            try:
                os.rename(os.path.dirname(volume.path), f"{space.path}/volume")
            except FileNotFoundError:
                pass  # another command was faster

    def _at(self, name: str) -> Volume | None:
        path = f"{self.path}/{name}/data"
        try:
            made = os.stat(os.path.dirname(path)).st_mtime
        except (FileNotFoundError, NotADirectoryError):
            return None
        return Volume(name, path, made)

    def _publish(self, name: str, fill: Callable[[str], None]) -> Volume:
        os.makedirs(self.path, mode=0o700, exist_ok=True)
        with self._work.workspace() as space:
            made = f"{space.path}/volume"
            os.makedirs(f"{made}/data", mode=0o755)
            fill(f"{made}/data")
            # Before it has its name: a power cut would leave it with empty files, and it is never filled again.
            sync_file_system(made)
            try:
                # Never onto another one: that is a folder with something in it (rename(2)).
                os.rename(made, f"{self.path}/{name}")
            except OSError:
                if self.get(name) is None:
                    raise
                raise VolumeExists(name) from None
        return self.find(name)

    def _fill(self, folder: str, digest: Digest) -> None:
        for entry in self._trees.load(digest):
            if entry.name == ROOT_NAME:
                continue
            path = f"{folder}/{os.fsdecode(entry.name)}"
            if entry.kind == DIRECTORY:
                os.mkdir(path, 0o700)
                self._fill(path, entry.digest)
            else:
                self._put(path, entry)
            apply_attributes(path, own(entry) if entry.kind == DIRECTORY else entry, owners=self._objects.owners)

    def _put(self, path: str, entry: Entry) -> None:
        if entry.kind == FILE:
            from envbuild.linux.safe_copy import copy_content  # not at every start

            # A copy: what the store has is never written to.
            source = self._objects.open(entry)
            try:
                with open(path, "xb", buffering=0) as file:
                    copy_content(source, file.fileno(), os.fstat(source))
            finally:
                os.close(source)
        elif entry.kind == LINK:
            os.symlink(entry.target, os.fsencode(path))
        elif entry.kind == FIFO:
            os.mkfifo(path, 0o600)
