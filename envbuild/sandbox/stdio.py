"""The standard streams of a command, as files that it may open again (/dev/stdout)."""

from __future__ import annotations

import errno
import os

from envbuild.sandbox.user_namespace import SHIFTED, IdMap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_NOT_POSSIBLE = (errno.EPERM, errno.EINVAL)
"""It is somebody else's, or there is a single id: it stays whose it is."""


def give_pipes(streams: Sequence[int], uid: int, gid: int) -> None:
    """Make a user the owner of these pipes, as other runtimes do (runc): else nobody but their maker could open
    /dev/stdout, which leads to them. A pipe that has a name belongs to whoever made it, as any file does."""
    for stream in set(streams):
        if os.readlink(f"/proc/self/fd/{stream}").startswith("pipe:"):
            try:
                os.fchown(stream, uid, gid)
            except OSError as error:
                if error.errno not in _NOT_POSSIBLE:
                    raise


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
