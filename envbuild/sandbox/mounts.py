"""The file systems of a sandbox beside its tree: /proc, /sys, /dev, /tmp, secrets and binds.

Everything that comes from the host or from a kernel that has to see the host's mounts is opened before the root
changes, as a mount that is attached nowhere. It is attached afterwards, when no path can lead out any more: links
in the tree, which may be hostile, then end inside it.
"""

from __future__ import annotations

import errno
import os
import stat

from envbuild.errors import fields
from envbuild.linux import syscalls
from envbuild.record import Record
from envbuild.sandbox.idmapped_mounts import Source, folders_of
from envbuild.sandbox.overlay import mount_overlay
from envbuild.sandbox.spec import OVER_TREE, Request, SandboxFailure, Secret

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    GroupRows = tuple[tuple[int, int], ...]

DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
MASKED = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/slabinfo",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/vmallocinfo",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
"""MASKED and READ_ONLY are the default maskedPaths and readonlyPaths of OCI runtimes, and what else tells of the
kernel's memory."""
MASKED_OF_HOST = (
    "/sys/fs/bpf",
    "/sys/fs/cgroup",
    "/sys/fs/pstore",
    "/sys/kernel/debug",
    "/sys/kernel/security",
    "/sys/kernel/tracing",
)
"""Where the host's /sys is shown, what is mounted in it: debugfs, tracefs, bpffs and their like."""
SECRETS = "/run/secrets"
TTY = 5
"""The number of the group tty, on Debian and elsewhere."""
_LINKS = (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2"), ("ptmx", "pts/ptmx"))
_QUIET = syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NODEV | syscalls.MOUNT_ATTR_NOEXEC


@fields
class MountBlocked(SandboxFailure):
    """Something of the tree is neither a directory nor missing where a mount belongs."""

    path: str

    def text(self) -> tuple[str, str]:
        return (
            f"{self.path} of the tree is in the way of a mount",
            "it must be a directory or missing; change it in a step",
        )


@fields
class NoMountPoint(SandboxFailure):
    """A tree that may not be written lacks what a mount shows at."""

    path: str

    def text(self) -> tuple[str, str]:
        return f"the tree has no {self.path} to mount on, and may not be written", ""


class Detached(Record):
    """A mount that is held open and attached nowhere yet, and where it goes."""

    descriptor: int
    target: str
    directory: bool = True


def prepare(stage: str, *, network: bool, mount_proc: Callable[[str], None]) -> tuple[Detached, ...]:
    """Return the mounts that every sandbox has, whatever it runs: /proc, /sys, /dev and /tmp, complete and held open.
    `mount_proc` mounts the sandbox's /proc at a path.

    `stage` is a directory of the host that is covered for this, in this mount namespace only; it has two empty
    directories then, `skeleton` and `root`.
    """
    sys = _sys(network)
    devices = [(name, syscalls.open_tree(f"/dev/{name}", recursive=False)) for name in DEVICES]
    syscalls.mount("stage", stage, "tmpfs", syscalls.MS_NODEV, "mode=755")
    for name in ("skeleton", "root", "proc", "sys", "dev", "layers"):
        os.mkdir(f"{stage}/{name}", 0o755)
    make_skeleton(f"{stage}/skeleton", tuple((path, True) for path in ("/proc", "/sys", "/dev", "/tmp")))
    mount_proc(f"{stage}/proc")
    groups = _group_rows()
    if not network:
        _open_network(f"{stage}/proc/sys/net/ipv4", groups)
    _attach(sys, f"{stage}/sys")
    syscalls.mount("dev", f"{stage}/dev", "tmpfs", syscalls.MS_NOSUID, "mode=755,size=65536k")
    _fill_dev(f"{stage}/dev", devices, groups)
    _restrict(stage, (*MASKED, *(MASKED_OF_HOST if network else ())), READ_ONLY)
    whole = tuple(
        # A copy of each with all that is mounted in it: what is attached below the old root goes with that.
        Detached(syscalls.open_tree(f"{stage}/{name}", recursive=True), f"/{name}")
        for name in ("proc", "sys", "dev")
    )
    tmp = _file_system("tmpfs", {"mode": "1777"}, syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NODEV)
    return (*whole, Detached(tmp, "/tmp"))


def proc_again(stage: str, mount_proc: Callable[[str], None]) -> Detached:
    """Return another /proc, as `prepare` makes it."""
    mount_proc(f"{stage}/proc")
    masked, read_only = ([path for path in paths if path.startswith("/proc/")] for paths in (MASKED, READ_ONLY))
    _restrict(stage, masked, read_only)
    return Detached(syscalls.open_tree(f"{stage}/proc", recursive=True), "/proc")


def cgroup_view() -> Detached:
    """Return the control groups of this process's namespace. Raises OSError where there are none of version 2."""
    return Detached(_file_system("cgroup2", {}, _QUIET), "/sys/fs/cgroup")


def with_tmp_of_tree(prepared: tuple[Detached, ...], tmp: str, stage: str) -> tuple[Detached, ...]:
    """Return the mounts with another one at /tmp, or none, as a request's `tmp` says. The tree is mounted at
    `stage`/root."""
    if not tmp:
        return prepared
    kept = []
    for mount in prepared:
        if mount.target != "/tmp":
            kept.append(mount)
        else:
            os.close(mount.descriptor)
    of_tree = f"{stage}/root/tmp"
    # A link of the tree leads anywhere here; what is in its place inside is the tree's own then.
    if tmp == OVER_TREE and stat.S_ISDIR(os.lstat(of_tree).st_mode):
        status = os.lstat(of_tree)
        for name in ("tmp-upper", "tmp-work", "tmp"):
            os.mkdir(f"{stage}/{name}", 0o755)
        os.chown(f"{stage}/tmp-upper", status.st_uid, status.st_gid)
        os.chmod(f"{stage}/tmp-upper", stat.S_IMODE(status.st_mode))
        mount_overlay((of_tree,), f"{stage}/tmp-upper", f"{stage}/tmp-work", f"{stage}/tmp")
        held = syscalls.open_tree(f"{stage}/tmp", recursive=False)
        syscalls.mount_setattr(held, syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NODEV, recursive=False)
        kept.append(Detached(held, "/tmp"))
    return tuple(kept)


def mount_points(request: Request, held: tuple[Detached, ...]) -> tuple[tuple[str, bool], ...]:
    """Return the paths that a request wants something mounted on, and whether each is a directory. `held` are its binds
    and scratch directories."""
    points = [(SECRETS, True)] if request.secrets else []
    return (*points, *((mount.target, mount.directory) for mount in held))


def make_skeleton(folder: str, points: tuple[tuple[str, bool], ...]) -> None:
    """Make the mount points as empty files and directories below `folder`: the bottom layer of every sandbox, so that
    none has to be made in what a snapshot keeps."""
    for target, directory in points:
        path = f"{folder}/{target.strip('/')}"
        os.makedirs(path if directory else os.path.dirname(path), mode=0o755, exist_ok=True)
        if not directory and not os.path.lexists(path):
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))


def binds_and_scratch(request: Request, sources: tuple[Source, ...]) -> tuple[Detached, ...]:
    """Return what a request wants mounted beside its tree, held open, the outer before what lies in it. `sources` are
    those of its binds."""
    held = [
        Detached(source.descriptor, bind.target, source.directory)
        for bind, source in zip(request.binds, sources, strict=True)
    ]
    for scratch in request.scratch:
        options = {"mode": f"{scratch.mode:o}", **({"size": str(scratch.size)} if scratch.size else {})}
        quiet = syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NODEV
        held.append(Detached(_file_system("tmpfs", options, quiet), scratch.target))
    return tuple(sorted(held, key=lambda scratch: scratch.target.rstrip("/").count("/")))


def attach_folders(request: Request, stage: str, sources: tuple[Source, ...]) -> Request:
    """Attach the directories of a request's layers below `stage`; return the request with its layers there.

    So nothing that a sandbox can read (/proc/mounts has overlayfs' options) tells where on the host they lie.
    """
    places = {}
    for number, (folder, source) in enumerate(zip(folders_of(request), sources, strict=True)):
        places[folder] = f"{stage}/{number}"
        os.mkdir(places[folder])
        _attach(source.descriptor, places[folder])

    def there(path: str) -> str:
        folder, name = os.path.split(path)
        return f"{places[folder]}/{name}"

    return request.replace(
        layers=tuple(there(layer) for layer in request.layers),
        upper=None if request.upper is None else there(request.upper),
        work=None if request.work is None else there(request.work),
    )


def attach(mounts: tuple[Detached, ...], secrets: tuple[Secret, ...], owner: tuple[int, int]) -> tuple[str, ...]:
    """Attach the mounts inside the new root, and return the mount points that had to be made there."""
    made: list[str] = []
    for mount in mounts:
        made += _ensure(mount.target, mount.directory)
        _attach(mount.descriptor, mount.target)
    if secrets:
        made += _ensure(SECRETS, True)
        _secrets(secrets, owner)
    return tuple(made)


def _attach(held: int, target: str) -> None:
    syscalls.move_mount(held, target)
    os.close(held)


def mount_proc(target: str) -> None:
    """Mounts the /proc of this process's own namespace."""
    _attach(open_proc(), target)


def open_proc() -> int:
    """Return the /proc of this process's own namespace, attached nowhere."""
    return _file_system("proc", {}, _QUIET)


def _sys(network: bool) -> int:
    if not network:
        return _file_system("sysfs", {}, _QUIET | syscalls.MOUNT_ATTR_RDONLY)
    # /sys shows a network namespace, and this one belongs to the host: what the host has, to be read.
    host = syscalls.open_tree("/sys", recursive=True)
    syscalls.mount_setattr(host, _QUIET | syscalls.MOUNT_ATTR_RDONLY, recursive=True)
    return host


def _file_system(kind: str, options: dict[str, str], attributes: int) -> int:
    context = syscalls.fsopen(kind)
    try:
        for key, value in options.items():
            syscalls.fsconfig(context, key, value)
        return syscalls.fsmount(context, attributes)
    except OSError as error:
        raise OSError(error.errno, error.strerror, kind) from error
    finally:
        os.close(context)


def _ensure(target: str, directory: bool) -> list[str]:
    """Make a mount point that the tree hides or has as another kind of entry; return what was made."""
    path = "/" + target.strip("/")
    if os.path.exists(path) and os.path.isdir(path) == directory:
        return []
    made: list[str] = []
    missing = path
    while not os.path.lexists(missing):
        made.append(missing)
        missing = os.path.dirname(missing)
    if not made:
        raise MountBlocked(path)
    before = os.stat(missing)
    try:
        os.makedirs(path if directory else os.path.dirname(path), mode=0o755, exist_ok=True)
        if not directory:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))
        os.utime(missing, ns=(before.st_atime_ns, before.st_mtime_ns))
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        raise NoMountPoint(path) from error
    return made


def _open_network(settings: str, groups: GroupRows) -> None:
    """Let all users listen on all ports and send pings, as docker does: the network namespace is this sandbox's own."""
    last = max(first + count - 1 for first, count in groups)
    _set(f"{settings}/ip_unprivileged_port_start", "0")
    _set(f"{settings}/ping_group_range", f"0 {last}")
    if len(groups) > 1 and _setting(f"{settings}/ping_group_range") == b"1\t0":
        # The range is one of the machine's own numbers, in which a user's group may come after the subordinate ones.
        _set(f"{settings}/ping_group_range", f"1 {last}")


def _set(path: str, value: str) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return  # a kernel without it, or a container that may not change it
    try:
        os.write(descriptor, value.encode())
    except OSError:
        pass
    finally:
        os.close(descriptor)


def _setting(path: str) -> bytes:
    try:
        with open(path, "rb") as file:  # text would need a codec, and nothing more can be loaded
            return file.read().strip()
    except OSError:
        return b""


def _fill_dev(folder: str, devices: list[tuple[str, int]], groups: GroupRows) -> None:
    for name, held in devices:
        os.close(os.open(f"{folder}/{name}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666))
        _attach(held, f"{folder}/{name}")
    for name, target in _LINKS:
        os.symlink(target, f"{folder}/{name}")
    for name in ("pts", "shm", "mqueue"):
        os.mkdir(f"{folder}/{name}", 0o755)
    quiet = syscalls.MS_NOSUID | syscalls.MS_NOEXEC
    options = "newinstance,ptmxmode=0666,mode=0620"
    # Terminals belong to the group tty; in a namespace with a single id there is none.
    options = f"{options},gid={TTY}" if _has_group(TTY, groups) else options
    syscalls.mount("devpts", f"{folder}/pts", "devpts", quiet, options)
    syscalls.mount("shm", f"{folder}/shm", "tmpfs", quiet | syscalls.MS_NODEV, "mode=1777")
    try:
        syscalls.mount("mqueue", f"{folder}/mqueue", "mqueue", quiet | syscalls.MS_NODEV)
    except OSError:
        os.rmdir(f"{folder}/mqueue")  # a kernel without POSIX message queues


def _has_group(number: int, groups: GroupRows) -> bool:
    return any(first <= number < first + count for first, count in groups)


def _group_rows() -> GroupRows:
    """Return which groups there are: the first of each row of the map, and how many."""
    with open("/proc/self/gid_map", "rb") as file:
        rows = [tuple(map(int, line.split())) for line in file]
    return tuple((first, count) for first, _, count in rows)


def _secrets(secrets: tuple[Secret, ...], owner: tuple[int, int]) -> None:
    quiet = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
    syscalls.mount("secrets", SECRETS, "tmpfs", quiet, "mode=755")
    for secret in secrets:
        path = f"{SECRETS}/{secret.name}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o400)
        try:
            view = memoryview(secret.content)
            while view:
                view = view[os.write(descriptor, view) :]
            try:
                os.fchown(descriptor, *owner)
            except OSError:
                pass  # a single id: the command runs as the owner already
        finally:
            os.close(descriptor)


def _restrict(stage: str, masked: Sequence[str], read_only: Sequence[str]) -> None:
    """Hide and write-protect what of /proc and /sys tells of the host or reaches it."""
    for path in (f"{stage}{path}" for path in read_only):
        if os.path.exists(path):
            held = syscalls.open_tree(path, recursive=True)
            syscalls.mount_setattr(held, syscalls.MOUNT_ATTR_RDONLY | _QUIET, recursive=True)
            _attach(held, path)
    for path in (f"{stage}{path}" for path in masked):
        try:
            mode = os.stat(path).st_mode  # once: most are not there, and /proc is slow to say so
        except OSError:
            continue
        if stat.S_ISDIR(mode):
            flags = syscalls.MS_RDONLY | syscalls.MS_NOSUID | syscalls.MS_NODEV
            syscalls.mount("masked", path, "tmpfs", flags, "size=0")
        else:
            _attach(syscalls.open_tree(f"{stage}/dev/null", recursive=False), path)
