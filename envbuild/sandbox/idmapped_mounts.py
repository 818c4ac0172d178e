"""What a sandbox mounts of the host: the directories that its layers lie in, and the sources of its binds.

They are opened before the root changes, without following links of a bind's source, as mounts that are attached
nowhere. Where ids are shifted, the machine's root does that and hands them over: only there can a mount be given other
ids, and nobody in the sandbox can go through the directories above, which others may not enter.
"""

from __future__ import annotations

import errno
import os
import stat

from envbuild.contexts import contextmanager
from envbuild.errors import fields
from envbuild.linux import syscalls
from envbuild.linux.nofollow import open_real
from envbuild.linux.sockets import SHUT_WR
from envbuild.record import Record
from envbuild.sandbox.protocol import Run
from envbuild.sandbox.spec import Bind, NotArrived, Request, SandboxFailure
from envbuild.sandbox.wire import receive_many_descriptors, send, send_many_descriptors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from envbuild.linux.sockets import socket


_NO_IDS = (errno.EINVAL, errno.EPERM, errno.EOPNOTSUPP)
"""What mount_setattr(2) says of a file system that can't be shown with other ids, or is already."""


@fields
class FolderKeepsIds(SandboxFailure):
    """The store's file system can't be shown with other ids."""

    folder: str
    error: OSError

    def text(self) -> tuple[str, str]:
        return (
            f"the file system of {self.folder} can't be shown with other ids, as root's sandboxes need: "
            f"{self.error.strerror}",
            "that takes Linux 5.19 and ext4, xfs or btrfs; a store that lies on overlayfs itself has to be moved: "
            "ENVBUILD_STORE=DIR; or use envbuild as another user",
        )


@fields
class CannotBind(SandboxFailure):
    """A path of the host can't be opened to be shown inside."""

    bind: Bind
    error: OSError

    def text(self) -> tuple[str, str]:
        return f"{self.bind.source} can't be mounted at {self.bind.target}: {self.error.strerror}", ""


@fields
class BindKeepsIds(SandboxFailure):
    """A path of the host that is to be written lies on a file system that can't be shown with other ids."""

    source: str

    def text(self) -> tuple[str, str]:
        return (
            f"{self.source} can't be mounted to be written: its file system can't be shown with other ids",
            "mount it read-only (:ro), use a file system that can (ext4, xfs, btrfs; tmpfs since Linux 6.3), or run as "
            "another user than root",
        )


class Source(Record):
    """A mount of something of the host's, held open and attached nowhere yet."""

    descriptor: int
    directory: bool


class Sources(Record):
    """What a request mounts: `folders` for `folders_of`, `binds` for its binds, each in its order."""

    folders: tuple[Source, ...]
    binds: tuple[Source, ...]


def folders_of(request: Request) -> tuple[str, ...]:
    """Return the directories that hold what overlayfs mounts for a request. `upper` and `work` lie in one, as it
    wants."""
    paths = (*request.layers, *filter(None, (request.upper, request.work)))
    return tuple(dict.fromkeys(os.path.dirname(path) for path in paths))


def open_sources(request: Request) -> Sources:
    """Open all that a request mounts, with the ids that it has. Raises SandboxFailure for a bind without source."""
    folders = tuple(Source(syscalls.open_tree(folder, recursive=True), True) for folder in folders_of(request))
    return Sources(folders, tuple(_open_bind(bind, None) for bind in request.binds))


@contextmanager
def shifted_sources(request: Request, namespace: int) -> Iterator[tuple[int, ...]]:
    """Yield all that a request mounts, shown with the ids of a user namespace, as descriptors for `arrange_sources`.

    `namespace` is a descriptor of one that has the sandbox's map. This process is the machine's root. Raises
    SandboxFailure.
    """
    opened: list[int] = []
    try:
        opened.extend(_open_folder(folder, namespace) for folder in folders_of(request))
        opened.extend(_open_bind(bind, namespace).descriptor for bind in request.binds)
        yield tuple(opened)
    finally:
        for descriptor in opened:
            os.close(descriptor)


def send_for_run(link: socket, request: Request, namespace: int | None) -> SandboxFailure | None:
    """Send a request to a sandbox's process 1, and its sources where they are shown with the ids of `namespace`.

    Return what is wrong with the sources; the sandbox is told that nothing is to be run. One that ended before it was
    asked says why in its answer.
    """
    try:
        if namespace is None:
            send(link, Run(request))
        else:
            with shifted_sources(request, namespace) as descriptors:
                send(link, Run(request))
                send_many_descriptors(link, descriptors)
    except SandboxFailure as error:
        link.shutdown(SHUT_WR)
        return error
    except OSError:
        pass
    return None


def receive_sources(link: socket, request: Request) -> Sources:
    """Return the sources of a request that `send_for_run` sent behind it. Raises SandboxFailure."""
    count = len(folders_of(request)) + len(request.binds)
    return arrange_sources(request, receive_many_descriptors(link, count))


def arrange_sources(request: Request, descriptors: tuple[int, ...]) -> Sources:
    """Return the sources of a request that `shifted_sources` opened. Raises SandboxFailure where some are missing."""
    folders = len(folders_of(request))
    if len(descriptors) != folders + len(request.binds):
        raise NotArrived("what the sandbox was to mount")
    sources = [Source(descriptor, stat.S_ISDIR(os.fstat(descriptor).st_mode)) for descriptor in descriptors]
    return Sources(tuple(sources[:folders]), tuple(sources[folders:]))


def _open_folder(folder: str, namespace: int) -> int:
    held = syscalls.open_tree(folder, recursive=False)
    try:
        syscalls.shift_ids(held, namespace, recursive=False)
    except OSError as error:
        os.close(held)
        raise FolderKeepsIds(folder, error) from error
    return held


def _open_bind(bind: Bind, namespace: int | None) -> Source:
    try:
        # Without following links: the source was resolved when it was allowed, and may have been swapped since.
        opened = open_real(bind.source, os.O_PATH)
        try:
            directory = stat.S_ISDIR(os.fstat(opened).st_mode)
            held = syscalls.open_tree_at(opened, recursive=True)
        finally:
            os.close(opened)
    except OSError as error:
        raise CannotBind(bind, error) from error
    try:
        if namespace is not None:
            _shift_bind(held, bind, namespace)
        attributes = syscalls.MOUNT_ATTR_NOSUID | (0 if bind.device else syscalls.MOUNT_ATTR_NODEV)
        if bind.read_only:
            attributes |= syscalls.MOUNT_ATTR_RDONLY
        syscalls.mount_setattr(held, attributes, recursive=True)
    except BaseException:
        os.close(held)
        raise
    return Source(held, directory)


def _shift_bind(held: int, bind: Bind, namespace: int) -> None:
    """Show a bind with the sandbox's ids. Of what is mounted below it, and of a file system that can't be shown so, the
    files belong to nobody inside: that will do to read them."""
    for recursive in (True, False):
        try:
            syscalls.shift_ids(held, namespace, recursive=recursive)
        except OSError as error:
            if error.errno not in _NO_IDS:
                raise
        else:
            return
    if not bind.read_only:
        raise BindKeepsIds(bind.source)
