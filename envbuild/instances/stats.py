"""What running instances use: processors, memory, disk, network.

Whose a process is follows from its parents: process 1 of an instance is the ancestor of all others in it, as it takes
in those whose parents ended. So /proc is read once for any number of instances, and everybody may (proc(5)).
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from envbuild.instances.cgroup_records import groups_of
from envbuild.instances.config import settings_of
from envbuild.instances.init_process import start_time
from envbuild.instances.network import HOST_NETWORK
from envbuild.instances.network.port_traffic import traffic_of_ports
from envbuild.instances.records import EXITED, LOST, Instance, Instances, State
from envbuild.linux.forked import ChildError, call_in_child
from envbuild.record import Record
from envbuild.sandbox.user_namespace import enter_user_namespace

DISK_EVERY = 10.0
"""Seconds between two measurements of the disk, which walk directories."""

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Process(Record):
    """A line of /proc/PID/stat: `own` are processor seconds of its own, `children` those of its children that are over
    and were waited for, and of theirs; `resident` are bytes; `begun` is when it was started, in ticks."""

    pid: int
    parent: int
    own: float
    children: float
    resident: int
    begun: int = 0


class Usage(Record):
    """What an instance uses at one moment. `cpu` are processor seconds since its command was started, `at` is the
    moment (time.monotonic); all others are bytes but for `processes`; `received` and `sent` are None where the network
    is not its own, `memory_limit` is 0 without one."""

    at: float
    cpu: float
    memory: int
    memory_limit: int
    processes: int
    received: int | None
    sent: int | None


class Measurement(Record):
    """A running instance at one moment: `processors` in use (1.0 is one of them), and bytes `written` to disk."""

    instance: Instance
    usage: Usage
    processors: float
    written: int


def measurements(instances: Instances, identities: Collection[str] = ()) -> Iterator[list[Measurement]]:
    """Yield, whenever it is asked for, how the running instances stand, by name: those with these ids, or all."""
    before: dict[str, Usage] = {}
    disk: dict[str, int] = {}
    measured_disk_at = 0.0
    with_own_network: dict[str, bool] = {}
    while True:
        running = [
            (instance, state)
            for instance in instances.all()
            if not identities or instance.identity in identities
            if _runs(state := instances.state(instance))
        ]
        for instance, _ in running:
            if instance.identity not in with_own_network:
                with_own_network[instance.identity] = settings_of(instance).network != HOST_NETWORK
        now = usages(running, [identity for identity, own in with_own_network.items() if own])
        if not disk.keys() >= now.keys() or time.monotonic() - measured_disk_at >= DISK_EVERY:
            disk, measured_disk_at = written_by([instance for instance, _ in running]), time.monotonic()
        yield [
            Measurement(
                instance,
                now[instance.identity],
                share(before.get(instance.identity), now[instance.identity]),
                disk.get(instance.identity, 0),
            )
            for instance in sorted((instance for instance, _ in running), key=lambda instance: instance.name)
            if instance.identity in now
        ]
        before = now


def is_running(instances: Instances, instance: Instance) -> bool:
    """Tell whether there is anything to measure."""
    return _runs(instances.state(instance))


def _runs(state: State) -> bool:
    return state.status not in (EXITED, LOST)


def parse_process(text: str) -> Process:
    """Return the fields of /proc/PID/stat. The name in it may hold anything, brackets too."""
    pid = int(text[: text.index(" ")])
    fields = text[text.rindex(")") + 2 :].split()
    user, system, children_user, children_system = map(int, fields[11:15])
    return Process(
        pid,
        int(fields[1]),
        (user + system) / _TICKS,
        (children_user + children_system) / _TICKS,
        int(fields[21]) * _PAGE,
        int(fields[19]),
    )


def read_processes() -> dict[int, Process]:
    """Return all processes of the machine."""
    processes = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="ascii", errors="replace") as file:
                    process = parse_process(file.read())
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended meanwhile
            processes[process.pid] = process
    return processes


def families(processes: Mapping[int, Process], ancestors: Iterable[int]) -> dict[int, list[Process]]:
    """Return the descendants of each ancestor, without itself."""
    inner: dict[int, list[Process]] = {}
    for process in processes.values():
        inner.setdefault(process.parent, []).append(process)
    descendants = {}
    for ancestor in ancestors:
        pending, family = [ancestor], []
        while pending:
            born = inner.get(pending.pop(), [])
            family += born
            pending += [process.pid for process in born]
        descendants[ancestor] = family
    return descendants


def usages(running: Iterable[tuple[Instance, State]], own_network: Iterable[str] = ()) -> dict[str, Usage]:
    """Return what each instance uses now, by its id; those whose process 1 is not there (any more) are left out.

    `own_network` are the ids of those with a network of their own. Memory is what is theirs alone and their share of
    the rest (Pss) where the kernel lets us see it.
    """
    networks = set(own_network)
    processes = read_processes()
    wanted = {state.pid: instance for instance, state in running if _is_first(state, processes)}
    used = {}
    for pid, family in families(processes, wanted).items():
        first = processes.get(pid)
        if first is None:
            continue
        instance = wanted[pid]
        cpu = first.children + sum(process.own + process.children for process in family)
        memory, limit = _memory_of_groups(groups_of(instance.path))
        cpu_of_group = _cpu_of_groups(groups_of(instance.path))
        traffic = _traffic(first, instance.path) if instance.identity in networks else None
        used[instance.identity] = Usage(
            at=time.monotonic(),
            cpu=cpu if cpu_of_group is None else cpu_of_group,
            memory=memory if memory is not None else sum(map(_memory, family)),
            memory_limit=limit,
            processes=len(family),
            received=traffic[0] if traffic else None,
            sent=traffic[1] if traffic else None,
        )
    return used


def share(before: Usage | None, now: Usage) -> float:
    """Return processors that were used between two moments: 1.0 is one of them, all the time."""
    if before is None or now.at <= before.at:
        return 0.0
    return max(0.0, now.cpu - before.cpu) / (now.at - before.at)


def written(folder: str) -> int:
    """Return bytes on disk of what an instance wrote: `upper` in its folder.

    Raises PermissionError where a user of the image keeps something to itself.
    """
    total = 0
    pending = [f"{folder}/upper"]
    while pending:
        try:
            with os.scandir(pending.pop()) as items:
                for item in items:
                    try:
                        status = item.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    total += status.st_blocks * 512
                    if stat.S_ISDIR(status.st_mode):
                        pending.append(item.path)
        except (FileNotFoundError, NotADirectoryError):
            continue  # removed meanwhile
    return total


def written_by(instances: Sequence[Instance]) -> dict[str, int]:
    """Return the bytes on disk that each instance wrote, by its id.

    Where the user can't read them, a child process does that is root of the user namespace: this process has to stay
    outside, where it can look into the processes of instances.
    """

    def measure() -> dict[str, int]:
        return {instance.identity: written(instance.path) for instance in instances}

    def measure_as_root() -> dict[str, int]:
        enter_user_namespace()
        return measure()

    try:
        return measure()
    except PermissionError:
        pass
    try:
        return dict(call_in_child(measure_as_root))
    except ChildError:
        return {}  # this machine has no user namespaces any more: the rest can be shown


def _is_first(state: State, processes: Mapping[int, Process]) -> bool:
    """Tell whether an instance's process 1 is still there, and its number is not a later one's.

    An earlier envbuild did not say when it was started.
    """
    process = processes.get(state.pid)
    return process is not None and state.begun in (0, process.begun)


def _memory(process: Process) -> int:
    try:
        return int(_fields_of(process, "smaps_rollup")["Pss:"][0]) * 1024
    except (KeyError, IndexError, ValueError):
        return process.resident


def _fields_of(process: Process, name: str) -> dict[str, list[str]]:
    """As `_fields`, of a file that /proc has of a process; nothing where that is another one by now."""
    try:
        folder = os.open(f"/proc/{process.pid}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return {}
    try:
        # Held open it is the folder of this one process, whatever gets its number.
        return _fields(f"/proc/self/fd/{folder}/{name}") if start_time(process.pid, folder) == process.begun else {}
    finally:
        os.close(folder)


def _fields(path: str) -> dict[str, list[str]]:
    """Return the lines of a file as first word: other words; nothing where it can't be read."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            rows = [line.split() for line in file]
    except OSError:
        return {}
    return {row[0]: row[1:] for row in rows if row}


def _memory_of_groups(groups: tuple[str, ...]) -> tuple[int | None, int]:
    """Return what the instance's groups say of its memory, without pages of files that nobody needs now, and its
    limit."""
    for path in groups:
        # The names in version 2 and in version 1.
        for used, most, idle in (
            ("memory.current", "memory.max", "inactive_file"),
            ("memory.usage_in_bytes", "memory.limit_in_bytes", "total_inactive_file"),
        ):
            number = next(iter(_fields(f"{path}/{used}")), None)
            if number is not None:
                unused = int(_fields(f"{path}/memory.stat").get(idle, ["0"])[0])
                limit = next(iter(_fields(f"{path}/{most}")), "")
                return max(0, int(number) - unused), int(limit) if limit.isdigit() else 0
    return None, 0


def _cpu_of_groups(groups: tuple[str, ...]) -> float | None:
    """Return processor seconds, from version 2 or from version 1 where it counts them in the same place as it limits
    them."""
    for path in groups:
        used = _fields(f"{path}/cpu.stat").get("usage_usec")
        if used:
            return int(used[0]) / 1e6
        nanoseconds = next(iter(_fields(f"{path}/cpuacct.usage")), None)
        if nanoseconds is not None:
            return int(nanoseconds) / 1e9
    return None


def _traffic(process: Process, folder: str) -> tuple[int, int] | None:
    """Return bytes (received, sent) over all devices of a process's network but the loopback (proc(5),
    /proc/PID/net/dev), and through the published ports of its instance, which end at that."""
    received, sent = traffic_of_ports(folder)
    rows = _fields_of(process, "net/dev")
    if not rows:
        return None
    for name, figures in rows.items():
        if name.endswith(":") and name != "lo:" and len(figures) >= 9:
            received += int(figures[0])
            sent += int(figures[8])
    return received, sent
