"""Units and timers, read from their links and files: systemd need not run (systemd.unit(5), "Unit File Load Path")."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from envbuild.capture.machine_root import MachineRoot

SCOPES = {"system": "/etc/systemd/system", "user": "/etc/systemd/user"}
"""The directories of what was set up on this machine, for the system and for all users."""
_SHIPPED = {
    scope: (f"/usr/local/lib/systemd/{scope}", f"/usr/lib/systemd/{scope}", f"/lib/systemd/{scope}") for scope in SCOPES
}
_WANTS = (".wants", ".requires", ".upholds")
_SCHEDULES = ("OnCalendar", "OnActiveSec", "OnBootSec", "OnStartupSec", "OnUnitActiveSec", "OnUnitInactiveSec")
_UNIT = "Unit"
_RUN_LEVELS = "2345"
_MAX_BYTES = 1 << 20


def units(root: MachineRoot) -> Iterator[tuple[str, ...]]:
    """Yield scope, unit, what was done with it (`enabled`, `masked`, `alias`, `file`, `drop-in`) and with what; `rc` is
    the scope of services that only have a script."""
    for scope, folder in SCOPES.items():
        for name in root.names(folder):
            yield from _set_up(root, scope, f"{folder}/{name}", name)
    yield from _scripts(root)


def timers(root: MachineRoot) -> Iterator[tuple[str, ...]]:
    """Yield scope, timer, unit that it starts, and when, of each timer that is enabled."""
    for scope, name, done, _ in units(root):
        if done != "enabled" or not name.endswith(".timer"):
            continue
        lines = list(_settings(root, scope, name))
        unit = next((value for key, value in lines if key == _UNIT), f"{name.removesuffix('.timer')}.service")
        yield scope, name, unit, "; ".join(f"{key}={value}" for key, value in lines if key in _SCHEDULES)


def _set_up(root: MachineRoot, scope: str, path: str, name: str) -> Iterator[tuple[str, ...]]:
    target = root.link(path)
    if target is not None:
        if target == "/dev/null":
            yield scope, name, "masked", ""
        elif posixpath.basename(target) == name:
            yield scope, name, "linked", target
        else:
            yield scope, posixpath.basename(target), "alias", name
        return
    inner = root.names(path)
    for kind in _WANTS:
        if name.endswith(kind):
            yield from ((scope, unit, "enabled", name) for unit in inner)
            return
    if name.endswith(".d"):
        yield from ((scope, name.removesuffix(".d"), "drop-in", file) for file in inner if file.endswith(".conf"))
    elif "." in name and not inner and root.read(path, _MAX_BYTES) is not None:
        yield scope, name, "file", path


def _scripts(root: MachineRoot) -> Iterator[tuple[str, ...]]:
    """Yield the services that start by links to scripts and have no unit (systemd-sysv-generator(8))."""
    levels: dict[str, str] = {}
    for level in _RUN_LEVELS:
        for name in root.names(f"/etc/rc{level}.d"):
            if name[:1] == "S" and name[1:3].isdigit():
                levels[name[3:]] = levels.get(name[3:], "") + level
    for name, started in levels.items():
        folders = (SCOPES["system"], *_SHIPPED["system"])
        if not any(root.status(f"{folder}/{name}.service") for folder in folders):
            yield "rc", name, "enabled", f"levels {started}"


def _settings(root: MachineRoot, scope: str, name: str) -> Iterator[tuple[str, str]]:
    """Yield the settings of a unit's file and of what is dropped in, in order; an empty value takes back those
    before."""
    folders = (SCOPES[scope], *_SHIPPED[scope])
    files = [path for folder in folders if (path := f"{folder}/{name}") and root.status(path)][:1]
    dropped: dict[str, str] = {}
    for folder in reversed(folders):
        dropped |= {
            file: f"{folder}/{name}.d/{file}" for file in root.names(f"{folder}/{name}.d") if file.endswith(".conf")
        }
    files += [dropped[file] for file in sorted(dropped)]
    settings: list[tuple[str, str]] = []
    for path in files:
        for line in (root.read_text(path, _MAX_BYTES) or "").split("\n"):
            key, equals, value = map(str.strip, line.partition("="))
            if equals and not key.startswith(("#", ";")):
                if value:
                    settings.append((key, value))
                else:
                    settings = [row for row in settings if row[0] != key]
    yield from settings
