"""All collectors in one list, and the run of them: what a machine lacks is not there, and what fails says so."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from envbuild.capture.machine_root import MachineRoot
from envbuild.capture.state import (
    accounts,
    bundles,
    cron,
    debian,
    kernel,
    locale,
    login,
    node,
    package_log,
    ports,
    python,
    systemd,
)
from envbuild.images.capture_record import FOLDER, PASSING, STATE, Missing, rows_text
from envbuild.record import Record

MAX_ROWS = 200_000
"""Records of one kind."""
Rows = Iterable[tuple[str, ...]]


class Machine(Record):
    """What collectors look at: the root, and where the walk saw directories that packages of languages lie in."""

    root: MachineRoot
    package_folders: Collection[bytes] = ()


class Collected(Record):
    """The texts of state and of what comes and goes by their names, and of which kinds something could not be read."""

    state: dict[str, str]
    passing: dict[str, str]
    failed: tuple[Missing, ...]


_FROM_FILES: dict[str, Callable[[MachineRoot], Rows]] = {
    "packages": debian.packages,
    "alternatives": debian.alternatives,
    "diversions": debian.diversions,
    "owner-overrides": debian.owner_overrides,
    "users": accounts.users,
    "groups": accounts.groups,
    "units": systemd.units,
    "timers": systemd.timers,
    "crontabs": cron.crontabs,
    "locale": locale.locales,
    "time-zone": locale.time_zone,
    "login-environment": login.environment,
    "snap": bundles.snaps,
    "flatpak": bundles.flatpaks,
}
_FROM_FOLDERS: dict[str, Callable[[MachineRoot, Collection[bytes]], Rows]] = {
    "python": python.distributions,
    "node": node.packages,
}
_OF_KERNEL: dict[str, Callable[[MachineRoot], Rows]] = {
    "kernel": kernel.release,
    "sysctl": kernel.changed_settings,
    "mounts": kernel.mounts,
}
"""True of the root that this process has, and of no other."""
_LOGS: dict[str, Callable[[MachineRoot], Rows]] = {"package-log": package_log.package_actions}
"""What programs wrote down that they did, as far as it says more than when."""
_PASSING: dict[str, Callable[[MachineRoot], Rows]] = {
    "ports": ports.listening,
    "modules": kernel.modules,
    "sysctl": kernel.settings,
}


def collect(machine: Machine) -> Collected:
    """Return what is state on a machine beside its files. A kind that it has nothing of is not there."""
    root = machine.root
    state: dict[str, Callable[[], Rows]] = {name: _bound(read, root) for name, read in _FROM_FILES.items()}
    for name, read_folders in _FROM_FOLDERS.items():
        state[name] = lambda read_folders=read_folders: read_folders(root, machine.package_folders)  # type: ignore[misc]
    passing: dict[str, Callable[[], Rows]] = {name: _bound(read, root) for name, read in _LOGS.items()}
    if root.is_this_machine:
        state |= {name: _bound(read, root) for name, read in _OF_KERNEL.items()}
        passing |= {name: _bound(read, root) for name, read in _PASSING.items()}
    failed: list[Missing] = []
    return Collected(_texts(STATE, state, failed), _texts(PASSING, passing, failed), tuple(failed))


def _bound(read: Callable[[MachineRoot], Rows], root: MachineRoot) -> Callable[[], Rows]:
    return lambda: read(root)


def _texts(folder: str, readers: dict[str, Callable[[], Rows]], failed: list[Missing]) -> dict[str, str]:
    texts = {}
    for name, read in readers.items():
        rows: set[tuple[str, ...]] = set()
        path = b"%s/%s/%s" % (FOLDER, folder.encode(), name.encode())
        try:
            for row in read():
                if len(rows) == MAX_ROWS:
                    failed.append(Missing(path, f"more than {MAX_ROWS:,} records"))
                    break
                rows.add(row)
        except (OSError, ValueError, RecursionError) as error:
            # Files of the machine are anybody's: none of them may keep it from being captured.
            failed.append(Missing(path, str(error)[:200]))
        if rows:
            texts[name] = rows_text(rows)
    return texts
