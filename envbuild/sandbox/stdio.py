"""The standard streams of a command, as files that it may open again (/dev/stdout)."""

from __future__ import annotations

import errno
import os
import stat

from envbuild.sandbox.user_namespace import SHIFTED, IdMap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_pipes = 0
_NOT_POSSIBLE = (errno.EPERM, errno.EINVAL)
"""It is somebody else's, or there is a single id: it stays whose it is."""


def give_pipes(streams: Sequence[int], uid: int, gid: int) -> None:
    """Make a user the owner of these pipes, as other runtimes do (runc): else nobody but their maker could open
    /dev/stdout, which leads to them. A pipe that has a name belongs to whoever made it, as any file does."""
    for stream in set(streams):
        if is_pipe(stream):
            try:
                os.fchown(stream, uid, gid)
            except OSError as error:
                if error.errno not in _NOT_POSSIBLE:
                    raise


def is_pipe(descriptor: int) -> bool:
    """Tell whether this is a pipe without a name: one of the kernel's own file system, that of all pipes."""
    # Not by its path in /proc, which may be that of a namespace that this process is not in.
    status = os.fstat(descriptor)
    return stat.S_ISFIFO(status.st_mode) and status.st_dev == _device_of_pipes()


def _device_of_pipes() -> int:
    global _pipes
    if _pipes:
        return _pipes
    reading, writing = os.pipe2(os.O_CLOEXEC)
    try:
        _pipes = os.fstat(reading).st_dev
        return _pipes
    finally:
        os.close(reading)
        os.close(writing)


def give_terminal(path: str, uid: int) -> None:
    """Make a user the owner of a sandbox's own terminal, which stays in the group that terminals have."""
    try:
        os.chown(path, uid, -1)
    except OSError as error:
        if error.errno not in _NOT_POSSIBLE:
            raise


def give_to_sandbox(streams: Sequence[int], ids: IdMap) -> None:
    """Make a sandbox's root the owner of pipes that the machine's root made."""
    if ids.kind == SHIFTED:
        give_pipes(streams, ids.outside(0), ids.outside(0))
