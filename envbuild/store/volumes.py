"""Named volumes: folders of data that outlive the instances that use them. `volumes/NAME/data` is what is mounted."""

from __future__ import annotations

import os

from envbuild.errors import UsageError
from envbuild.record import Record
from envbuild.store.attributes import apply_attributes
from envbuild.store.instances import check_name
from envbuild.store.objects import Objects
from envbuild.store.removal import remove
from envbuild.store.trees import StoredTrees
from envbuild.tree.diff import own
from envbuild.tree.entry import DIRECTORY, FIFO, FILE, LINK, ROOT_NAME, Digest, Entry
from envbuild.tree.forest import lookup


class Volume(Record):
    """One volume: its name, the path of its data on the host, and when it was made (seconds since 1970)."""

    name: str
    path: str
    made: float


class NoSuchVolume(UsageError):
    """No volume has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no volume '{name}'", "`envbuild volume ls` lists what there is")


class Volumes:
    """The volumes of one store."""

    def __init__(self, path: str, trees: StoredTrees, objects: Objects) -> None:
        self.path = path
        self._trees = trees
        self._objects = objects

    def all(self) -> list[Volume]:
        """All volumes, sorted by name."""
        if not os.path.isdir(self.path):
            return []
        found = [self.get(name) for name in sorted(os.listdir(self.path)) if not name.endswith((".new", ".gone"))]
        return [one for one in found if one is not None]

    def get(self, name: str) -> Volume | None:
        """The volume of this name."""
        check_name(name, "a volume")
        path = f"{self.path}/{name}/data"
        try:
            made = os.stat(os.path.dirname(path)).st_mtime
        except FileNotFoundError:
            return None
        return Volume(name, path, made)

    def find(self, name: str) -> Volume:
        """The volume of this name. Raises NoSuchVolume."""
        found = self.get(name)
        if found is None:
            raise NoSuchVolume(name)
        return found

    def make(self, name: str, tree: Digest | None = None, target: str = "/") -> Volume:
        """The volume of this name. A new one begins as a copy of what `tree` has at `target`, with its owners, so that
        what an image prepared there is in place; without that it is an empty folder of root."""
        known = self.get(name)
        if known is not None:
            return known
        temporary = f"{self.path}/{name}.{os.urandom(4).hex()}.new"
        os.makedirs(f"{temporary}/data", mode=0o755)
        try:
            entry = lookup(self._trees, tree, target.strip("/").encode()) if tree is not None else None
            if entry is not None and entry.kind == DIRECTORY:
                self._fill(f"{temporary}/data", entry.digest)
                apply_attributes(f"{temporary}/data", own(entry), owners=self._objects.owners)
            try:
                os.rename(temporary, f"{self.path}/{name}")
            except OSError:
                if self.get(name) is None:
                    raise  # else another instance made it meanwhile
        finally:
            remove(temporary)
        return self.find(name)

    def copy(self, source: Volume, name: str) -> Volume:
        """A new volume with what another one holds now."""
        import shutil  # not at every start

        temporary = f"{self.path}/{name}.{os.urandom(4).hex()}.new"
        os.makedirs(temporary, mode=0o755)
        try:
            shutil.copytree(source.path, f"{temporary}/data", symlinks=True, copy_function=_copy_with_owner)
            _copy_owners(source.path, f"{temporary}/data", owners=self._objects.owners)
            os.rename(temporary, f"{self.path}/{name}")
        finally:
            remove(temporary)
        return self.find(name)

    def remove(self, volume: Volume) -> None:
        """Takes a volume away with all that is in it."""
        gone = f"{self.path}/{volume.name}.gone"
        remove(gone)
        os.rename(os.path.dirname(volume.path), gone)
        remove(gone)

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
            # A copy: what the store has is never written to.
            with open(path, "xb") as file:
                file.write(self._objects.read(entry))
        elif entry.kind == LINK:
            os.symlink(entry.target, os.fsencode(path))
        elif entry.kind == FIFO:
            os.mkfifo(path, entry.mode)


def _copy_with_owner(source: str, target: str) -> str:
    import shutil

    shutil.copy2(source, target, follow_symlinks=False)
    return target


def _copy_owners(source: str, target: str, *, owners: bool) -> None:
    for folder, folders, files in os.walk(source):
        there = target + folder[len(source) :]
        for name in (*folders, *files, "."):
            status = os.lstat(f"{folder}/{name}")
            if owners:
                os.chown(f"{there}/{name}", status.st_uid, status.st_gid, follow_symlinks=False)
            if not os.path.islink(f"{there}/{name}"):
                os.chmod(f"{there}/{name}", status.st_mode & 0o7777)
