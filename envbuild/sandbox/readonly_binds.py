"""Directories of the tree that can't be written, shown without overlayfs: bound from a checkout of the tree.

overlayfs asks for each part of a path twice, of its own inode and of the layer's, and opens each file twice. A bind
mount of the layer costs nothing. So where nothing is to be written, the checkout's own directories are shown.
"""

from __future__ import annotations

import errno
import os
import stat

from envbuild.errors import fields
from envbuild.linux import syscalls
from envbuild.linux.nofollow import open_real
from envbuild.sandbox.mounts import Detached
from envbuild.sandbox.overlay import mount_overlay
from envbuild.sandbox.spec import Request, SandboxFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


COVERED = ("proc", "sys", "dev", "tmp")
"""What every sandbox mounts over the tree's own; /tmp, where the tree has nothing in it."""
_RESTRICTED = os.ST_NOSUID | os.ST_NOEXEC


@fields
class CannotKeep(SandboxFailure):
    """A path that is to stay as the image has it can't be opened in the tree."""

    path: str
    error: OSError

    def text(self) -> tuple[str, str]:
        message = f"{self.path} can't be kept as it is: {self.error.strerror}"
        return message, "name a directory of the image, and no link"


class FixedParts:
    """The parts of a request's tree that can't be written. `stage` is the tmpfs on which its root is put together,
    with the mount points, `points`, in `stage`/skeleton."""

    def __init__(self, request: Request, stage: str, points: tuple[tuple[str, bool], ...]) -> None:
        self._request = request
        self._skeleton = f"{stage}/skeleton"
        self._whole = f"{stage}/whole"
        self._points = points
        self._checkout = request.layers[0] if len(request.layers) == 1 and _is_plain(request.layers[0]) else None

    @property
    def has_checkout(self) -> bool:
        """Whether one directory holds the whole tree, and may be shown as it is."""
        return self._checkout is not None

    def held(self, directories: Sequence[str]) -> tuple[Detached, ...]:
        """Return these directories, held open. Raises SandboxFailure for one that is not in the tree."""
        return tuple(Detached(self._open(directory), directory) for directory in directories)

    def mount_root(self, target: str) -> None:
        """Mount the whole tree at `target`: a small tmpfs like its top directory, and on it all that lies there."""
        checkout = self._checkout
        assert checkout is not None
        shown = []
        with os.scandir(checkout) as items:
            for item in items:
                path = f"{self._skeleton}/{item.name}"
                if item.is_symlink():
                    _clear(path)
                    os.symlink(os.readlink(item.path), path)
                    _look_like(path, item.stat(follow_symlinks=False))
                elif item.is_dir(follow_symlinks=False):
                    os.makedirs(path, exist_ok=True)
                    if item.name not in COVERED or (item.name == "tmp" and self._request.tmp):
                        shown.append(item.name)
                else:
                    _clear(path)
                    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
                    shown.append(item.name)
        _look_like(self._skeleton, os.stat(checkout))
        _attach(_read_only(syscalls.open_tree(self._skeleton, recursive=False)), target)
        for name in shown:
            _attach(self._open(f"/{name}"), f"{target}/{name}")

    def _open(self, path: str) -> int:
        """Return a mount of what lies at a path of the tree, that is attached nowhere yet."""
        if self._checkout is None or any(self._lacks(path, *point) for point in self._points):
            # Seen through overlayfs: the mount points that the tree lacks are in its bottom layer.
            if not os.path.isdir(self._whole):
                os.mkdir(self._whole)
                mount_overlay((*self._request.layers, self._skeleton), None, None, self._whole)
            folder = self._whole
        else:
            folder = self._checkout
        try:
            if os.path.normpath(path) != path:
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
            # Without following links: those of a tree lead anywhere.
            opened = open_real(f"{folder}/{path.strip('/')}", os.O_PATH)
        except OSError as error:
            raise CannotKeep(path, error) from error
        try:
            return _read_only(syscalls.open_tree_at(opened, recursive=False))
        finally:
            os.close(opened)

    def _lacks(self, path: str, point: str, directory: bool) -> bool:
        """Tell whether a mount point lies in `path` and is not in the checkout. What a link of the tree leads to is not
        asked: a mount point is where the link is followed, inside."""
        if not f"{point.rstrip('/')}/".startswith(f"{path.rstrip('/')}/"):
            return False
        at = self._checkout or ""
        for part in point.strip("/").split("/"):
            at = f"{at}/{part}"
            try:
                mode = os.lstat(at).st_mode
            except FileNotFoundError:
                return True
            if not stat.S_ISDIR(mode):
                return False
        return False


def _is_plain(folder: str) -> bool:
    """Tell whether programs in a directory run as they would elsewhere: a bind mount keeps what its file system
    forbids."""
    return not os.statvfs(folder).f_flag & _RESTRICTED


def _read_only(held: int) -> int:
    syscalls.mount_setattr(held, syscalls.MOUNT_ATTR_RDONLY | syscalls.MOUNT_ATTR_NODEV, recursive=False)
    return held


def _attach(held: int, target: str) -> None:
    syscalls.move_mount(held, target)
    os.close(held)


def _clear(path: str) -> None:
    """Take a mount point away where the tree has something else, as that would hide it in overlayfs, too."""
    if os.path.isdir(path):
        for name in os.listdir(path):
            _clear(f"{path}/{name}")
        os.rmdir(path)
    elif os.path.exists(path):
        os.unlink(path)


def _look_like(path: str, status: os.stat_result) -> None:
    os.chown(path, status.st_uid, status.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(path, stat.S_IMODE(status.st_mode))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)
