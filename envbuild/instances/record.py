"""The record of an instance in its directory: `config.json`, which never changes, and `state.json`, its last state.

A loss of power must not leave half a record of something that counts. So an instance is `fresh` until its record is on
disk, and what a loss of power leaves of a fresh one is nobody's. A record that cannot be read all the same is a
DamagedInstance, which can be seen and removed.
"""

from __future__ import annotations

import errno
import os

from envbuild.errors import UsageError, WorkFailed, fields
from envbuild.record import Record
from envbuild.text import json
from envbuild.tree.entry import Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

STARTING, RUNNING, RESTARTING, EXITED, LOST = "starting", "running", "restarting", "exited", "lost"
HEALTHY, UNHEALTHY = "healthy", "unhealthy"
"""What a health check has found; STARTING until it is one of them."""
DAMAGED = "damaged"
"""What stands in the place of a state where the record of an instance cannot be read."""
LAYERS = "layers"
TEMPORARY, FRESH = "temporary", "fresh"
"""Files that mark an instance which goes when it is over, and one whose record need not be on disk yet."""
NAMES = ".names"
"""The folder beside those of the instances with a link for each name that is taken."""
_CONFIG, _STATE = "config.json", "state.json"


class Instance(Record):
    """One instance. `tree` is what it started from: that of `image`, or of the instance that it was cloned from;
    `settings` what it was started with (instances/config.py), `made` when (seconds since 1970), `path` its folder. A
    `temporary` one is removed when it is over."""

    identity: str
    name: str
    image: Digest
    reference: str
    tree: Digest
    facts: str
    made: float
    path: str
    settings: str
    temporary: bool = False


class State(Record):
    """The state of an instance. `status` is starting, running, restarting, exited or lost (its supervisor was killed,
    or the machine went down); times in seconds since 1970, 0 where there is none; `code` is its last exit code.

    `health` is starting, healthy, unhealthy or "" without a check, and `check` what the last check printed; `error` is
    why it could not run, or what ended it; `ports` are (address, port, port inside, protocol) as they were opened on
    the host; `pid` is its process 1, by the host's numbers, and `begun` when that was started (ticks, proc(5));
    `address` is its own in a named network.
    """

    status: str
    started: float = 0.0
    ended: float = 0.0
    code: int | None = None
    restarts: int = 0
    health: str = ""
    error: str = ""
    ports: tuple[tuple[Any, ...], ...] = ()
    pid: int = 0
    address: str = ""
    check: str = ""
    begun: int = 0


class DamagedInstance(Record):
    """An instance whose record cannot be read, and why (`reason`). Its `name` is what the store knows it by, else its
    id; what it wrote is still in its folder."""

    identity: str
    name: str
    path: str
    reason: str


@fields
class InstanceDamaged(WorkFailed):
    """A command needs the record of an instance, and that is damaged; a DamagedInstance has the reason itself."""

    instance: DamagedInstance | Instance
    reason: str = ""

    def text(self) -> tuple[str, str]:
        instance = self.instance
        reason = instance.reason if isinstance(instance, DamagedInstance) else self.reason
        return (
            f"the record of the instance {instance.name} is damaged: {reason}",
            f"what it wrote is in {instance.path}/upper; remove it with: envbuild rm {instance.name}",
        )


@fields
class RecordUnreadable(UsageError):
    """A record of an instance is not as envbuild writes it."""

    problem: str

    def text(self) -> tuple[str, str]:
        return self.problem, ""


_TEXTS = ("name", "image", "reference", "tree", "facts", "settings")
_STATE_TYPES: dict[str, type | tuple[type, ...]] = {
    "status": str,
    "started": (int, float),
    "ended": (int, float),
    "code": (int, type(None)),
    "restarts": int,
    "health": str,
    "error": str,
    "ports": list,
    "pid": int,
    "address": str,
    "check": str,
    "begun": int,
}


def read_config(folder: str, identity: str) -> Instance:
    """Return the instance of this folder. Raises RecordUnreadable, and FileNotFoundError where it has no record."""
    plain = _read(f"{folder}/{_CONFIG}")
    for name in _TEXTS:
        if not isinstance(plain.get(name), str):
            raise RecordUnreadable(f"{_CONFIG} says no {name}")
    if isinstance(plain.get("made"), bool) or not isinstance(plain.get("made"), (int, float)):
        raise RecordUnreadable(f"{_CONFIG} lacks the time when it was made")
    for name in ("facts", "settings"):
        _parse(plain[name], f"{_CONFIG}, {name}")
    # What another version of envbuild knew besides is not for this one.
    known = {name: plain[name] for name in (*_TEXTS, "made")}
    return Instance(identity=identity, path=folder, temporary=plain.get("temporary") is True, **known)


def write_config(folder: str, instance: Instance) -> None:
    """Put an instance on record in a folder that has not its name yet.

    Unless it is temporary, it counts when `settle` has been done.
    """
    kept = {name: getattr(instance, name) for name in instance.__match_args__ if name not in ("identity", "path")}
    marker = TEMPORARY if instance.temporary else FRESH
    os.close(os.open(f"{folder}/{marker}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    _write(f"{folder}/{_CONFIG}", json.dumps(kept))


def settle(folder: str) -> None:
    """Have the record of an instance on disk, with the names that lead to it; until then it does not count. Nothing to
    do for a temporary one, and for one that is settled.

    It costs a wait for the disk: so it is done while the sandbox is made, and before anybody is told of the instance.
    """
    if not os.path.exists(f"{folder}/{FRESH}"):
        return
    _sync(f"{folder}/{_CONFIG}")
    above = os.path.dirname(folder)
    for path in (folder, f"{above}/{NAMES}", above):
        _sync(path)
    os.unlink(f"{folder}/{FRESH}")


def settle_state(folder: str) -> None:
    """Have the last state on disk: without that, one that has ended may be taken for one that a loss of power ended."""
    _sync(f"{folder}/{_STATE}")
    _sync(folder)


def read_state(folder: str) -> State:
    """Return the last state that was written; `lost` where there is none that can be read."""
    try:
        plain = _read(f"{folder}/{_STATE}")
    except (RecordUnreadable, FileNotFoundError):
        return State(LOST)
    # Another version of envbuild may have written it.
    known = {name: plain[name] for name in State.__match_args__ if name in plain}
    fits = all(isinstance(value, _STATE_TYPES[name]) for name, value in known.items())
    rows = known.get("ports", [])
    if "status" not in known or not fits or not all(isinstance(row, list) and len(row) == 4 for row in rows):
        return State(LOST)
    return State(**known)


def write_state(path: str, state: State) -> None:
    """Put down how an instance stands; `path` is its folder."""
    text = json.dumps({name: getattr(state, name) for name in state.__match_args__})
    try:
        _write(f"{path}/{_STATE}", text)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        _overwrite(f"{path}/{_STATE}", text)


def write_layers(path: str, layers: tuple[str, ...]) -> None:
    """Put down which layers an instance is about to mount."""
    _write(f"{path}/{LAYERS}", "".join(f"{layer}\n" for layer in layers))


def _read(path: str) -> dict[str, Any]:
    with open(path, encoding="utf-8", errors="replace") as file:
        return _parse(file.read(), os.path.basename(path))


def _parse(text: str, what: str) -> dict[str, Any]:
    if not text.strip("\0"):
        raise RecordUnreadable(f"{what} is empty")
    try:
        plain = json.loads(text)
    except (ValueError, RecursionError):
        raise RecordUnreadable(f"{what} is not whole") from None
    if not isinstance(plain, dict):
        raise RecordUnreadable(f"{what} is something else")
    return plain


def _write(path: str, text: str) -> None:
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(f"{path}.new", path)


def _overwrite(path: str, text: str) -> None:
    """Change a small file in place: the block that it has is enough where the disk has no other one."""
    _remove_half(f"{path}.new")
    opened = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        content = text.encode()
        # Spaces after it, as the one before may have been longer: so at no moment it is cut.
        size = os.fstat(opened).st_size
        written = os.pwrite(opened, content.ljust(size), 0)
        if written < len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
    finally:
        os.close(opened)


def _remove_half(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def _sync(path: str) -> None:
    """Wait until a file, or the names in a folder, are on disk (fsync(2))."""
    opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
