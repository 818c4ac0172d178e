"""Limits on memory, processors and processes: control groups of version 2 where one was delegated, or of version 1.

cgroups(7), and the kernel's documents admin-guide/cgroup-v2 and cgroup-v1/. A group belongs to one instance; what the
instance runs is put in before any of it starts.
"""

from __future__ import annotations

import errno
import os

from envbuild.record import Record
from envbuild.runtime.settings import Limits

PERIOD = 100_000
"""Microseconds over which a share of processors is counted: the kernel's own default."""
KEPT = "cgroups"
"""The file in an instance's folder that names its groups, so that those of a crash are found."""
_SELF = "envbuild"
"""The group that takes in what was in a delegated one, envbuild's own processes among it."""
_MOUNTS, _OWN = "/proc/self/mountinfo", "/proc/self/cgroup"
_WORDS = {"memory": "--memory", "cpu": "--cpus", "pids": "--pids"}
_DELEGATE = "run it as root, or in a delegated group: systemd-run --user --scope -p Delegate=yes envbuild ..."


class Hierarchy(Record):
    """Where groups can be made for `controllers`: below the directory `path`, in version 1 or 2."""

    version: int
    controllers: tuple[str, ...]
    path: str


class Group:
    """The control groups of one instance, none of them if it has no limits."""

    def __init__(self, folder: str, warnings: tuple[str, ...], paths: tuple[tuple[int, str], ...]) -> None:
        """`paths` are (version, directory); `warnings` say which limit could not be set, and why."""
        self.warnings = warnings
        self._folder = folder
        self._paths = paths
        self._killed = 0

    @property
    def paths(self) -> tuple[str, ...]:
        """The directories."""
        return tuple(path for _, path in self._paths)

    def add(self, pid: int) -> None:
        """Puts a sandbox in: its process 1, and that which will become its command."""
        if not self._paths:
            return
        for one in (pid, *_children(pid)):
            for path in self.paths:
                _write(f"{path}/cgroup.procs", str(one))
            if one != pid and self._limits_memory():
                # Of all that is in the group the command is to go first, not the process that tells of its end.
                _write(f"/proc/{one}/oom_score_adj", "500")
        self._killed = self._kills()

    def out_of_memory(self) -> bool:
        """Whether the kernel has ended something in it for want of memory since `add`."""
        return self._kills() > self._killed

    def remove(self) -> None:
        """Takes the groups away; nothing is left in them."""
        remove_groups(self.paths)
        if self._paths:
            os.unlink(f"{self._folder}/{KEPT}")

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


def make_group(limits: Limits, identity: str, folder: str) -> Group:
    """The groups that hold an instance to its limits, as far as this machine lets us make them."""
    wanted = {name: value for name, value in _files(limits).items() if value}
    if not wanted:
        return Group(folder, (), ())
    remove_left_over(folder)
    made: list[tuple[int, str]] = []
    warnings = []
    hierarchies = _hierarchies()
    for controller, files in wanted.items():
        place = next((one for one in hierarchies if controller in one.controllers), None)
        reason = "no control group has it"
        if place is not None:
            try:
                path = _make(place, identity, controller)
                if (place.version, path) not in made:
                    made.append((place.version, path))
                for name, value in files[place.version]:
                    _write(f"{path}/{name}", value)
                continue
            except OSError as error:
                reason = f"{place.path}: {error.strerror}"
        warnings.append(f"{_WORDS[controller]} has no effect on this machine ({reason}); {_DELEGATE}")
    if made:
        with open(f"{folder}/{KEPT}", "w", encoding="utf-8") as file:
            file.write("".join(f"{path}\n" for _, path in made))
    return Group(folder, tuple(warnings), tuple(made))


def groups_of(folder: str) -> tuple[str, ...]:
    """The groups of the instance in this folder that are there."""
    try:
        with open(f"{folder}/{KEPT}", encoding="utf-8") as file:
            return tuple(path for path in file.read().splitlines() if os.path.isdir(path))
    except FileNotFoundError:
        return ()


def remove_left_over(folder: str) -> None:
    """Takes away the groups of an instance whose supervisor was killed."""
    remove_groups(groups_of(folder))


def remove_groups(paths: tuple[str, ...]) -> None:
    """Removes empty groups. One whose last process is just going is tried again for a moment."""
    import time

    for path in paths:
        for _ in range(50):
            try:
                os.rmdir(path)
            except FileNotFoundError:
                break
            except OSError as error:
                if error.errno != errno.EBUSY:
                    break
                time.sleep(0.002)
            else:
                break


def _files(limits: Limits) -> dict[str, dict[int, list[tuple[str, str]]]]:
    """For each controller that a limit needs the (file, content) to write, in each version."""
    memory, quota = str(limits.memory), round(limits.cpus * PERIOD)
    # Process 1 counts, too, and is not the user's.
    pids = [("pids.max", str(limits.pids + 1))]
    return {
        "memory": {
            2: [("memory.max", memory), ("memory.swap.max", "0")],
            1: [("memory.limit_in_bytes", memory), ("memory.swappiness", "0")],
        }
        if limits.memory
        else {},
        "cpu": {
            2: [("cpu.max", f"{quota} {PERIOD}")],
            1: [("cpu.cfs_period_us", str(PERIOD)), ("cpu.cfs_quota_us", str(quota))],
        }
        if limits.cpus
        else {},
        "pids": {2: pids, 1: pids} if limits.pids else {},
    }


def _hierarchies() -> list[Hierarchy]:
    """Those of this process that are mounted, version 2 first."""
    own: dict[str, str] = {}
    with open(_OWN, encoding="utf-8") as file:
        for line in file:
            _, names, path = line.rstrip("\n").split(":", 2)
            for name in names.split(","):
                own[name] = path
    found = []
    with open(_MOUNTS, encoding="utf-8") as file:
        for line in file:
            before, _, after = line.partition(" - ")
            kind, _, options = after.split()[:3]
            root, target = before.split()[3:5]
            if kind == "cgroup2" and "" in own:
                path = _below(target, root, own[""]).removesuffix(f"/{_SELF}")
                found.append(Hierarchy(2, tuple(_words(f"{path}/cgroup.controllers")), path))
            elif kind == "cgroup":
                controllers = tuple(name for name in options.split(",") if name in _WORDS)
                if controllers and controllers[0] in own:
                    found.append(Hierarchy(1, controllers, _below(target, root, own[controllers[0]])))
    return sorted(found, key=lambda one: -one.version)


def _below(target: str, root: str, path: str) -> str:
    """Where the group `path` is, in a mount at `target` that shows the hierarchy from `root` on."""
    inner = path.removeprefix(root if root != "/" else "")
    return (target + "/" + inner.strip("/")).rstrip("/")


def _words(path: str) -> list[str]:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().split()
    except OSError:
        return []


def _make(place: Hierarchy, identity: str, controller: str) -> str:
    if place.version == 1:
        path = f"{place.path}/envbuild-{identity}"
        os.makedirs(path, exist_ok=True)
        return path
    # A group with processes of its own can't give controllers to others (cgroup-v2, "no internal process"): so they
    # are given by a group that is emptied first, if it is ours to do.
    if controller not in _words(f"{place.path}/cgroup.subtree_control"):
        own = f"{place.path}/{_SELF}"
        os.makedirs(own, exist_ok=True)
        for pid in _words(f"{place.path}/cgroup.procs"):
            _write(f"{own}/cgroup.procs", pid)
        _write(f"{place.path}/cgroup.subtree_control", f"+{controller}")
    path = f"{place.path}/envbuild-{identity}"
    os.makedirs(path, exist_ok=True)
    return path


def _children(pid: int) -> list[int]:
    return [int(one) for one in _words(f"/proc/{pid}/task/{pid}/children")]


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
