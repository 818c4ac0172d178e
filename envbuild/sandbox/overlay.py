"""Mounts layers as one tree with overlayfs, through the new mount interface or, on older kernels, the old one."""

from __future__ import annotations

import errno
import os

from envbuild.errors import MachineLacks, fields
from envbuild.linux import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


@fields
class CannotMountOverlay(MachineLacks):
    """overlayfs refused the layers."""

    reason: str

    def text(self) -> tuple[str, str]:
        return (
            f"overlayfs can't be mounted here: {self.reason}",
            "`envbuild doctor` shows what is missing; a store that lies on overlayfs itself has to be moved: "
            "ENVBUILD_STORE=DIR",
        )


def mount_overlay(
    layers: Sequence[str], upper: str | None, work: str | None, target: str, *, lasting: bool = False
) -> None:
    """Mount `layers` (topmost first) at `target`, writable if `upper` and `work` are given.

    Raises CannotMountOverlay with the kernel's own reason.
    """
    try:
        mounted = _new_mount(layers, upper, work, lasting)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EINVAL, errno.EPERM):
            raise CannotMountOverlay(f"{error.strerror} ({error.filename})") from error
        try:
            _old_mount(layers, upper, work, target, lasting)
        except OSError as second:
            raise CannotMountOverlay(f"{error.filename or error.strerror}; {second.strerror}") from second
        return
    try:
        syscalls.move_mount(mounted, target)
    finally:
        os.close(mounted)


def _new_mount(layers: Sequence[str], upper: str | None, work: str | None, lasting: bool) -> int:
    context = syscalls.fsopen("overlay")
    try:
        for layer in layers:
            syscalls.fsconfig(context, "lowerdir+", layer)
        if upper is not None and work is not None:
            syscalls.fsconfig(context, "upperdir", upper)
            syscalls.fsconfig(context, "workdir", work)
            if not lasting:
                # What a crash leaves here is thrown away, so nothing has to be synced when it is unmounted.
                syscalls.fsconfig(context, "volatile", None)
        # Without userxattr the mount succeeds too, but opaque directories then show through (Linux 6.18).
        syscalls.fsconfig(context, "userxattr", None)
        # Equal files share inodes in the store; with an index overlayfs would make them one file inside, too.
        syscalls.fsconfig(context, "index", "off")
        return syscalls.fsmount(context, syscalls.MOUNT_ATTR_NODEV)
    except OSError as error:
        raise OSError(error.errno, error.strerror, _reason(context) or error.filename) from error
    finally:
        os.close(context)


def _old_mount(layers: Sequence[str], upper: str | None, work: str | None, target: str, lasting: bool) -> None:
    options = ["lowerdir=" + ":".join(_escape(layer) for layer in layers), "userxattr", "index=off"]
    if upper is not None and work is not None:
        options += [f"upperdir={_escape(upper)}", f"workdir={_escape(work)}", *([] if lasting else ["volatile"])]
    data = ",".join(options)
    if len(os.fsencode(data)) >= os.sysconf("SC_PAGE_SIZE"):
        raise OSError(errno.E2BIG, "too many layers for this kernel's mount(2): give the store a shorter path")
    syscalls.mount("overlay", target, "overlay", syscalls.MS_NODEV, data)


def _escape(path: str) -> str:
    """Return a path with overlayfs' own escapes for an option string."""
    return path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")


def _reason(context: int) -> str:
    """Return what the kernel wrote about the last failure of a file system context."""
    os.set_blocking(context, False)
    messages: list[str] = []
    while True:
        try:
            message = os.read(context, 4096)
        except OSError:
            return "; ".join(messages)
        if not message:
            return "; ".join(messages)
        messages.append(message.decode(errors="replace").strip().removeprefix("e ").removeprefix("w "))
