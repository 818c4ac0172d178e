"""Limits on memory, processors and processes: control groups of version 2 where one was delegated, or of version 1.

cgroups(7), and the kernel's documents admin-guide/cgroup-v2 and cgroup-v1/. A group belongs to one instance; what the
instance runs is put in before any of it starts.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence

from envbuild.instances.cgroup_records import keep_groups, remove_groups
from envbuild.instances.config import Limits
from envbuild.record import Record

PERIOD = 100_000
"""Microseconds over which a share of processors is counted: the kernel's own default."""
SELF = "envbuild"
"""The group that takes in what was in a delegated one, envbuild's own processes among it."""
OWN = "init"
"""The group in an instance's own that belongs to the instance. Its limits are those of the outer one, which it can't
lift."""
_MOUNTS, _OWN = "/proc/self/mountinfo", "/proc/self/cgroup"
_WORDS = {"memory": "--memory", "cpu": "--cpus", "pids": "--pids"}
_DELEGATE = "run it as root, or in a delegated group: systemd-run --user --scope -p Delegate=yes envbuild ..."
GOES_FIRST = "500"
"""What is added to the badness of a command (proc(5), oom_score_adj): of all that is in a group it is to go before the
process 1 that tells of its end."""
_MAX_TRIES = 3


class Hierarchy(Record):
    """Where groups can be made for `controllers`: below the directory `path`, in version 1 or 2."""

    version: int
    controllers: tuple[str, ...]
    path: str


class Change(Record):
    """A change to the file system of control groups: a directory to make (`text` is None), or a text to write to a file
    of one. What is `optional` may fail: not every kernel has the file."""

    path: str
    text: str | None = None
    optional: bool = False


class Group:
    """The control groups of one instance, none of them if it has no limits."""

    def __init__(
        self, folder: str, warnings: tuple[str, ...], paths: tuple[tuple[int, str], ...], own: str = ""
    ) -> None:
        """`paths` are (version, directory); `warnings` say which limit could not be set, and why. `own` is a directory
        in one of them, of a group that belongs to the instance."""
        self.warnings = warnings
        self.own = own
        self._folder = folder
        self._paths = paths
        self._killed = 0

    @property
    def paths(self) -> tuple[str, ...]:
        """The directories."""
        return tuple(path for _, path in self._paths)

    def add(self, pid: int) -> None:
        """Put a sandbox in: its process 1, and that which will become its command."""
        if not self._paths:
            return
        entered = [self.own if self.own.startswith(f"{path}/") else path for path in self.paths]
        try:
            # Process 1 first: what it forks from then on is in the groups already.
            for path in entered:
                _write(f"{path}/cgroup.procs", str(pid))
            for child in _children(pid):
                for path in entered:
                    _write(f"{path}/cgroup.procs", str(child))
                if self._limits_memory():
                    _perform([Change(f"/proc/{child}/oom_score_adj", GOES_FIRST, optional=True)])
        except OSError as error:
            self.warnings = (*self.warnings, f"the limits have no effect: {error.strerror}; {_DELEGATE}")
        self._killed = self._kills()

    def out_of_memory(self) -> bool:
        """Tell whether the kernel has ended something in it for want of memory since `add`."""
        return self._kills() > self._killed

    def remove(self) -> None:
        """Take the groups away; nothing is left in them."""
        remove_groups(self._folder)

    def _limits_memory(self) -> bool:
        return any(os.path.exists(f"{path}/memory.{end}") for path in self.paths for end in ("max", "limit_in_bytes"))

    def _kills(self) -> int:
        for version, path in self._paths:
            try:
                with open(f"{path}/memory.{'events' if version == 2 else 'oom_control'}", encoding="ascii") as file:
                    rows = dict(line.split() for line in file)
            except OSError:
                continue
            return int(rows.get("oom_kill", 0))
        return 0


def make_group(limits: Limits, identity: str, folder: str, owner: int | None = None) -> Group:
    """Return the groups that hold an instance to its limits, as far as this machine lets us make them.

    With `owner` it gets one that belongs to this user, in which it may make others, as systemd does.
    """
    remove_groups(folder)
    wanted = files_of(limits)
    if not wanted and owner is None:
        return Group(folder, (), ())
    made: list[tuple[int, str]] = []
    warnings = []
    places = hierarchies(_read(_MOUNTS), _read(_OWN), lambda path: _words(f"{path}/cgroup.controllers"))
    for controller, files in wanted.items():
        place = next((place for place in places if controller in place.controllers), None)
        reason = "no control group has it"
        if place is not None:
            path = group_in(place, identity)
            if (place.version, path) not in made:
                made.append((place.version, path))
                # Before it is there: a crash leaves none that nobody knows of.
                keep_groups(folder, tuple(path for _, path in made))
            try:
                _make(place, identity, controller, files[place.version])
                continue
            except OSError as error:
                reason = f"{place.path}: {error.strerror}"
        warnings.append(f"{_WORDS[controller]} has no effect on this machine ({reason}); {_DELEGATE}")
    own = ""
    if owner is not None:
        place = next((place for place in places if place.version == 2), None)
        if place is not None:
            path = group_in(place, identity)
            if (place.version, path) not in made:
                made.append((place.version, path))
                keep_groups(folder, tuple(path for _, path in made))
            own = _make_own(f"{path}/{OWN}", owner)
        if not own:
            warnings.append(f"there is no control group that the instance could make others in; {_DELEGATE}")
    existing = tuple((version, path) for version, path in made if os.path.isdir(path))
    return Group(folder, tuple(warnings), existing, own)


def _make_own(path: str, owner: int) -> str:
    """Make a group that belongs to a user (cgroup-v2, "Delegation"); return its path, "" if that can't be done."""
    try:
        os.makedirs(path, exist_ok=True)
        for name in ("", "/cgroup.procs", "/cgroup.threads", "/cgroup.subtree_control"):
            os.chown(path + name, owner, owner)
    except OSError:
        return ""
    return path


def files_of(limits: Limits) -> dict[str, dict[int, tuple[Change, ...]]]:
    """Return for each controller that a limit needs what to write to files of a group, in each version."""
    needed: dict[str, dict[int, tuple[Change, ...]]] = {}
    if limits.memory:
        most = str(limits.memory)
        # Without swap, where that is counted: else a limit only makes everything slow.
        needed["memory"] = {
            2: (Change("memory.max", most), Change("memory.swap.max", "0", optional=True)),
            1: (Change("memory.limit_in_bytes", most), Change("memory.swappiness", "0", optional=True)),
        }
    if limits.cpus:
        # The kernel takes no less than a millisecond of each period.
        quota = max(1000, round(limits.cpus * PERIOD))
        needed["cpu"] = {
            2: (Change("cpu.max", f"{quota} {PERIOD}"),),
            1: (Change("cpu.cfs_period_us", str(PERIOD)), Change("cpu.cfs_quota_us", str(quota))),
        }
    if limits.pids:
        # Process 1 counts, too, and is not the user's.
        pids = (Change("pids.max", str(limits.pids + 1)),)
        needed["pids"] = {2: pids, 1: pids}
    return needed


def hierarchies(mounts: str, own: str, controllers: Callable[[str], Sequence[str]]) -> list[Hierarchy]:
    """Return those that are mounted and that a process is in, version 2 first.

    `mounts` and `own` are its /proc/PID/mountinfo and /proc/PID/cgroup (proc(5), cgroups(7)); `controllers` gives those
    of a directory of version 2.
    """
    groups: dict[str, str] = {}
    for line in own.splitlines():
        _, names, path = line.split(":", 2)
        for name in names.split(","):
            groups[name] = path
    mounted = []
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split()[:3]
        root, target = before.split()[3:5]
        if kind == "cgroup2" and "" in groups:
            path = _below(target, root, groups[""]).removesuffix(f"/{SELF}")
            mounted.append(Hierarchy(2, tuple(controllers(path)), path))
        elif kind == "cgroup":
            limited = tuple(name for name in options.split(",") if name in _WORDS)
            if limited and limited[0] in groups:
                mounted.append(Hierarchy(1, limited, _below(target, root, groups[limited[0]])))
    return sorted(mounted, key=lambda hierarchy: -hierarchy.version)


def group_in(place: Hierarchy, identity: str) -> str:
    """Return the directory of an instance's group."""
    return f"{place.path}/envbuild-{identity}"


def changes(
    place: Hierarchy,
    identity: str,
    controller: str,
    files: Sequence[Change],
    given: Sequence[str] = (),
    members: Sequence[str] = (),
) -> list[Change]:
    """Return what makes a group of an instance with what `files` say of one controller.

    `given` are the controllers that `place` gives to groups in it already, `members` the processes that it has: in
    version 2 a group with processes of its own can't give any (cgroup-v2, "no internal processes"), so they move into
    one beside the instance's.
    """
    group = group_in(place, identity)
    prepared: list[Change] = []
    if place.version == 2 and controller not in given:
        own = f"{place.path}/{SELF}"
        if members:
            prepared += [Change(own), *(Change(f"{own}/cgroup.procs", pid, optional=True) for pid in members)]
        prepared.append(Change(f"{place.path}/cgroup.subtree_control", f"+{controller}"))
    return [*prepared, Change(group), *(file.replace(path=f"{group}/{file.path}") for file in files)]


def _make(place: Hierarchy, identity: str, controller: str, files: Sequence[Change]) -> None:
    for left in reversed(range(_MAX_TRIES)):
        given = _words(f"{place.path}/cgroup.subtree_control") if place.version == 2 else []
        members = _words(f"{place.path}/cgroup.procs") if place.version == 2 else []
        try:
            _perform(changes(place, identity, controller, files, given, members))
            return
        except OSError as error:
            # One of them has forked meanwhile: look again.
            if error.errno != errno.EBUSY or not left:
                raise


def _perform(what: Sequence[Change]) -> None:
    for change in what:
        try:
            if change.text is None:
                os.makedirs(change.path, exist_ok=True)
            else:
                _write(change.path, change.text)
        except OSError:
            if not change.optional:
                raise


def _below(target: str, root: str, path: str) -> str:
    """Return where the group `path` is, in a mount at `target` that shows the hierarchy from `root` on."""
    inner = path.removeprefix(root if root != "/" else "")
    return (target + "/" + inner.strip("/")).rstrip("/")


def _words(path: str) -> list[str]:
    try:
        return _read(path).split()
    except OSError:
        return []


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


def _children(pid: int) -> list[int]:
    return [int(child) for child in _words(f"/proc/{pid}/task/{pid}/children")]


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
