"""Devices of this machine that a step is shown: which ones a build may give, and which ones none is given."""

from __future__ import annotations

import errno
import os
import stat

from envbuild.errors import UsageError, fields
from envbuild.sandbox.mounts import DEVICES
from envbuild.sandbox.spec import Bind

_FOLDER = "/dev/"
_OTHERS = stat.S_IROTH | stat.S_IWOTH
_MEMORY, _TTY, _CONSOLES, _INPUT, _SCSI, _MSR = 1, 4, 5, 13, 21, 202
_PTYS = range(136, 144)
_REFUSED_MAJORS = {
    _MEMORY: "it is the memory of this machine, or its log",
    _TTY: "it is a terminal",
    _CONSOLES: "it is a terminal",
    **dict.fromkeys(_PTYS, "it is a terminal"),
    _INPUT: "it is a keyboard, a mouse or the like",
    _SCSI: "commands for whole disks go through it",
    _MSR: "it is a register of the processor",
}
"""Character devices by their major numbers (devices.txt of the kernel), and why no step gets them: whoever has one of
these has the machine."""
_REFUSED_SUBSYSTEMS = {
    "bsg": _REFUSED_MAJORS[_SCSI],
    "nvme": _REFUSED_MAJORS[_SCSI],
    "nvme-generic": _REFUSED_MAJORS[_SCSI],
    "tty": _REFUSED_MAJORS[_TTY],
}
"""As above, of devices whose numbers the kernel gives out."""


@fields
class DeviceNotAllowed(UsageError):
    """A step asks for a device that the user has not allowed."""

    device: str

    def text(self) -> tuple[str, str]:
        return f"the step asks for the device {self.device}", f"allow it with: --allow device={self.device}"


@fields
class DeviceUnusable(UsageError):
    """A device that is allowed can't be given to a step."""

    device: str
    reason: str
    mend: str

    def text(self) -> tuple[str, str]:
        return f"{self.device} can't be given to a step: {self.reason}", self.mend


def check_device(device: str, allowed: tuple[str, ...]) -> None:
    """Raise DeviceNotAllowed or DeviceUnusable unless a step may have the device at this path."""
    if is_own(device):
        return
    if device not in allowed:
        raise DeviceNotAllowed(device)
    path, status = _found(device)
    reason = _refusal(status)
    if reason:
        raise DeviceUnusable(device, reason, "no step is given one of these")
    if not os.access(path, os.R_OK | os.W_OK):
        raise DeviceUnusable(device, "you may not read and write it yourself", f"as root: setfacl -m u:USER:rw {path}")
    if stat.S_ISBLK(status.st_mode):
        _refuse_used(device, path)
    if os.geteuid() and _is_by_group(path, status):
        reason = "only a group lets you open it, and a step has none of your groups"
        raise DeviceUnusable(device, reason, f"as root: setfacl -m u:USER:rw {path}")


def is_own(device: str) -> bool:
    """Tell whether every sandbox has this device of its own."""
    return device.removeprefix(_FOLDER) in DEVICES


def device_binds(devices: tuple[str, ...], allowed: tuple[str, ...], folder: str, *, shifted: bool) -> tuple[Bind, ...]:
    """Return the mounts that show a step its devices. `folder` is a directory of the step's own.

    Where ids are `shifted`, root of the step is nobody on this machine, and /dev can't be shown with other ids: so
    nodes of the step's own are made. Raises what `check_device` does.
    """
    binds = []
    for number, device in enumerate(devices):
        check_device(device, allowed)
        if is_own(device):
            continue
        source, status = _found(device)
        if shifted:
            source = f"{folder}/device-{number}"
            os.mknod(source, status.st_mode, status.st_rdev)
            os.chmod(source, stat.S_IMODE(status.st_mode))  # mknod heeds the umask
        binds.append(Bind(source, device, read_only=False, device=True))
    return tuple(binds)


def _found(device: str) -> tuple[str, os.stat_result]:
    """Return where a device is, and what. Raises DeviceUnusable."""
    path = os.path.realpath(device)
    if not path.startswith(_FOLDER):
        raise DeviceUnusable(device, f"it leads to {path}", "name the device itself")
    try:
        status = os.lstat(path)
    except OSError as error:
        mend = "load the kernel's module for it (modprobe), or leave the option out"
        raise DeviceUnusable(device, error.strerror or str(error), mend) from error
    if not (stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode)):
        raise DeviceUnusable(device, "it is not a device", "name a character or a block device")
    return path, status


def _refusal(status: os.stat_result) -> str:
    """Return why no step gets a device, "" if one may."""
    if stat.S_ISBLK(status.st_mode):
        return ""
    major, minor = os.major(status.st_rdev), os.minor(status.st_rdev)
    if major in _REFUSED_MAJORS:
        return _REFUSED_MAJORS[major]
    subsystem = os.path.basename(os.path.realpath(f"/sys/dev/char/{major}:{minor}/subsystem"))
    return _REFUSED_SUBSYSTEMS.get(subsystem, "")


def _refuse_used(device: str, path: str) -> None:
    """Raise DeviceUnusable for a disk that is mounted, or has a part that is."""
    try:
        # Such a disk can't be had by one alone (open(2)).
        os.close(os.open(path, os.O_RDONLY | os.O_EXCL | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError as error:
        reason = "it is in use" if error.errno == errno.EBUSY else error.strerror or str(error)
        raise DeviceUnusable(device, reason, "umount what lies on it, or use a loop device") from error


def _is_by_group(path: str, status: os.stat_result) -> bool:
    """Tell whether a user may open a device as a member of a group alone."""
    if status.st_uid == os.geteuid() or status.st_mode & _OTHERS == _OTHERS:
        return False
    try:
        return not os.getxattr(path, "system.posix_acl_access")  # which may name the user
    except OSError:
        return True
