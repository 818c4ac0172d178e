"""The files of an instance as seen from inside: through the root of a running one, else on a temporary mount."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from envbuild.errors import WorkFailed, fields
from envbuild.instances.config import VOLUME, Mount, settings_of
from envbuild.instances.control_client import NotRunning, root_of
from envbuild.instances.records import EXITED, LOST, Instance, Instances, hold
from envbuild.instances.volumes import Volume, Volumes
from envbuild.linux import syscalls
from envbuild.record import Record
from envbuild.sandbox.overlay import mount_overlay
from envbuild.sandbox.user_namespace import CONTAINED, SHIFTED, IdMap, enter_user_namespace
from envbuild.store.store import Store

_PLAIN = IdMap(CONTAINED, 0)
_WITHIN = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS


class Rootfs(Record):
    """An instance's root directory, held open, with its volumes in it. `running` says whether binds, /proc and so on
    are, too; `ids` are what owners in it are for this process."""

    root: int
    running: bool
    ids: IdMap

    def open(self, path: str, flags: int) -> int:
        """Open what is there.

        No link leads out, also one that is put there meanwhile: to whom this root is `/`, as to the instance itself
        (openat2(2), RESOLVE_IN_ROOT).
        """
        return syscalls.openat2(self.root, path, flags, _WITHIN)

    def create_as_root(self) -> None:
        """Have what this process creates in it belong to the instance's root."""
        if self.ids.kind == SHIFTED:
            syscalls.create_files_as(self.ids.outside(0), self.ids.outside(0))


@fields
class Between(WorkFailed):
    """The instance is just starting or ending."""

    name: str

    def text(self) -> tuple[str, str]:
        return f"{self.name} is just starting or ending", "run the same command again"


@contextmanager
def open_rootfs(store: Store, instance: Instance) -> Iterator[Rootfs]:
    """Yield the instance's files. One that is over can't be started or removed meanwhile.

    The process is root of the user namespace, with one thread, and uses the store (`share`); it gets a mount namespace
    of its own if the instance is over. Raises Between and CannotMountOverlay.
    """
    lock = -1
    try:
        if Instances.of(store.path).state(instance).status in (EXITED, LOST):
            try:
                lock = hold(instance)
            except WorkFailed as error:
                raise Between(instance.name) from error
            ids = _PLAIN  # mounted by this process, it shows the ids that are on disk
            root = _mounted(store, instance)
        else:
            ids = enter_user_namespace()  # entered already: only asks which kind it is
            try:
                root = root_of(instance)
            except NotRunning as error:
                raise Between(instance.name) from error
        try:
            yield Rootfs(root, lock < 0, ids)
        finally:
            os.close(root)
    finally:
        if lock >= 0:
            os.close(lock)


def _mounted(store: Store, instance: Instance) -> int:
    layers = store.layers(instance.tree)
    path = os.path.realpath(instance.path)
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
    # Over its own folder: a place that is there, and that nothing else is wanted from; seen by this process alone.
    mount_overlay(layers, f"{path}/upper", f"{path}/work", path, lasting=True)
    root = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    for mount in settings_of(instance).mounts:
        volume = Volumes.of(store).get(mount.source) if mount.kind == VOLUME else None
        if volume is not None:
            _show(volume, root, mount)
    return root


def _show(volume: Volume, root: int, mount: Mount) -> None:
    """Mount a volume where the instance has it, for this process alone. What the instance has put in the place of the
    directory meanwhile leads nowhere else."""
    held = syscalls.open_tree(os.path.realpath(volume.path), recursive=False)
    try:
        if mount.read_only:
            syscalls.mount_setattr(held, syscalls.MOUNT_ATTR_RDONLY, recursive=False)
        try:
            target = _place(root, os.path.normpath(mount.target))
        except OSError:
            return  # nothing can be mounted there any more
        try:
            syscalls.move_mount_onto(held, target)
        finally:
            os.close(target)
    finally:
        os.close(held)


def _place(root: int, path: str) -> int:
    """Return a directory to mount on, which is made where the tree lacks it. Raises OSError."""
    flags = os.O_PATH | os.O_DIRECTORY
    try:
        return syscalls.openat2(root, path, flags, _WITHIN)
    except FileNotFoundError:
        above, name = os.path.split(path)
        parent = syscalls.openat2(root, above, flags, _WITHIN)
        try:
            os.mkdir(name, 0o755, dir_fd=parent)
        finally:
            os.close(parent)
        return syscalls.openat2(root, path, flags, _WITHIN)
