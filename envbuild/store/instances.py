"""Instances on record: what each was started with, how it stands, and its own files.

`instances/ID/` holds `config.json`, which never changes, `state.json`, the supervisor's last word, `log`, the socket
`control`, and `upper` and `work` for overlayfs. The supervisor holds a lock on `lock` as long as it lives: so whether
an instance runs is known after a crash and a restart of the machine, too, whatever its last word was.
"""

from __future__ import annotations

import fcntl
import json
import os
import time

from envbuild.errors import UsageError, WorkFailed
from envbuild.record import Record
from envbuild.store.reference import BadName
from envbuild.store.removal import remove
from envbuild.tree.entry import Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

STARTING, RUNNING, RESTARTING, EXITED, LOST = "starting", "running", "restarting", "exited", "lost"
LAYERS = "layers"
TEMPORARY = "temporary"
_LEFT = 600.0
"""Seconds after which what is half made or half removed is nobody's any more."""
_NAME = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
_LONGEST_NAME = 200


class Instance(Record):
    """One instance. `tree` is what it started from: that of `image`, or of the instance that it was cloned from;
    `settings` what it was started with (runtime/settings.py), `made` when (seconds since 1970), `path` its folder. A
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
    """How an instance stands. `status` is starting, running, restarting, exited or lost (its supervisor was killed, or
    the machine went down); times in seconds since 1970, 0 where there is none; `code` is its last exit code.

    `health` is starting, healthy, unhealthy or "" without a check, and `check` what the last check printed; `error` is
    why it could not run, or what ended it; `ports` are (address, port, port inside, protocol) as they were opened on
    the host; `pid` is its process 1, by the host's numbers; `address` is its own in a named network.
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


class NoSuchInstance(UsageError):
    """No instance has this name or id."""

    def __init__(self, reference: str, near: str | None) -> None:
        hint = f"did you mean '{near}'?" if near else "`envbuild ps --all` lists what there is"
        super().__init__(f"there is no instance '{reference}'", hint)


class NameTaken(WorkFailed):
    """Another instance has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"there is an instance '{name}' already", f"choose another --name, or remove it: envbuild rm {name}"
        )


class Instances:
    """The instances of one store."""

    def __init__(self, path: str) -> None:
        self.path = path

    @classmethod
    def of(cls, store_path: str) -> Instances:
        """Those of the store in this folder, which need not be open: most that is asked of them is not in its
        database."""
        return cls(f"{store_path}/instances")

    def create(
        self,
        name: str | None,
        image: Digest,
        reference: str,
        tree: Digest,
        facts: str,
        settings: str,
        *,
        temporary: bool = False,
    ) -> tuple[Instance, int]:
        """Puts a new instance on record, and takes its lock: (instance, the lock's descriptor).

        Without a `name` it gets one. Raises NameTaken and BadName.
        """
        os.makedirs(self.path, mode=0o700, exist_ok=True)
        if name is not None:
            check_name(name)
        identity = os.urandom(6).hex()
        plain = reference.partition("@")[0].partition(":")[0].strip(".-_") or "instance"
        folder = f"{self.path}/{identity}"
        made = Instance(
            identity,
            name or f"{plain}-{identity[:4]}",
            image,
            reference,
            tree,
            facts,
            time.time(),
            folder,
            settings,
            temporary,
        )
        self._take_name(made)
        # Whole or not at all: what has no name of its own yet is nobody's.
        temporary_folder = f"{folder}.new"
        os.mkdir(temporary_folder, 0o700)
        if temporary:
            os.close(os.open(f"{temporary_folder}/{TEMPORARY}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        for inner in ("upper", "work"):
            os.mkdir(f"{temporary_folder}/{inner}", 0o755)
        kept = {field: getattr(made, field) for field in made.__match_args__ if field not in ("identity", "path")}
        _write(f"{temporary_folder}/config.json", json.dumps(kept))
        _write(f"{temporary_folder}/state.json", json.dumps({"status": STARTING}))
        lock = hold(made.replace(path=temporary_folder))
        os.rename(temporary_folder, folder)
        return made, lock

    def get(self, identity: str) -> Instance | None:
        """The instance with this whole id."""
        folder = f"{self.path}/{identity}"
        try:
            with open(f"{folder}/config.json", encoding="utf-8") as file:
                plain = json.load(file)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return Instance(identity=identity, path=folder, **plain)

    def all(self) -> list[Instance]:
        """All instances, the newest first."""
        if not os.path.isdir(self.path):
            return []
        found = [self.get(name) for name in os.listdir(self.path) if "." not in name]
        return sorted((one for one in found if one is not None), key=lambda one: -one.made)

    def has_name(self, name: str) -> bool:
        """Whether an instance is called exactly so."""
        return self._named(name) is not None

    def find(self, reference: str) -> Instance:
        """The instance of this name, or of an id that begins so. Raises NoSuchInstance."""
        named = self._named(reference)
        if named is not None:
            return named
        everything = self.all()
        fitting = [one for one in everything if reference and one.identity.startswith(reference)]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise UsageError(
                f"'{reference}' fits {len(fitting)} instances",
                "give more digits: " + ", ".join(o.identity for o in fitting),
            )
        from difflib import get_close_matches  # only on a mistake

        near = get_close_matches(reference, [one.name for one in everything], 1)
        raise NoSuchInstance(reference, near[0] if near else None)

    def state(self, instance: Instance) -> State:
        """How it stands now: the supervisor's last word, or `lost` where that is gone without having said so."""
        try:
            with open(f"{instance.path}/state.json", encoding="utf-8") as file:
                plain = json.load(file)
            # Another version of envbuild may have written it.
            state = State(**{name: plain[name] for name in State.__match_args__ if name in plain})
        except (FileNotFoundError, ValueError):
            state = State(LOST)
        if state.status != EXITED and not self.is_supervised(instance):
            return state.replace(status=LOST)
        return state

    def is_supervised(self, instance: Instance) -> bool:
        """Whether its supervisor lives."""
        try:
            descriptor = os.open(f"{instance.path}/lock", os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def layers_in_use(self) -> set[str]:
        """The paths of all layers that running instances have mounted."""
        found: set[str] = set()
        for one in self.all():
            if os.path.exists(f"{one.path}/{LAYERS}") and self.is_supervised(one):
                with open(f"{one.path}/{LAYERS}", encoding="utf-8", errors="surrogateescape") as file:
                    found.update(file.read().splitlines())
        return found

    def left_over(self) -> list[Instance]:
        """Temporary ones whose supervisor was killed before it could remove them."""
        if not os.path.isdir(self.path):
            return []
        marked = [name for name in os.listdir(self.path) if os.path.exists(f"{self.path}/{name}/{TEMPORARY}")]
        found = [self.get(name) for name in marked if "." not in name]
        return [one for one in found if one is not None and not self.is_supervised(one)]

    def tidy(self) -> None:
        """Removes temporary instances whose supervisor was killed, and what was left half made or half removed."""
        for one in self.left_over():
            self.remove(one)
        if os.path.isdir(self.path):
            for name in os.listdir(self.path):
                path = f"{self.path}/{name}"
                # One that is being made or removed right now is let alone.
                if name.endswith((".new", ".gone")) and time.time() - os.lstat(path).st_ctime > _LEFT:
                    remove(path)

    def remove(self, instance: Instance) -> None:
        """Takes an instance away with all that it wrote, and the groups that a killed supervisor left; it has to be
        over."""
        from envbuild.store.control_groups import remove_groups  # not for a start

        remove_groups(instance.path)
        gone = f"{instance.path}.gone"
        try:
            os.rename(instance.path, gone)
        except FileNotFoundError:
            return  # another command is at it
        link = self._link(instance.name)
        if os.path.islink(link) and os.readlink(link) == instance.identity:
            os.unlink(link)
        remove(gone)

    def _link(self, name: str) -> str:
        """Where a name is taken: a link there says by which instance."""
        return f"{self.path}/.names/{name}"

    def _named(self, name: str) -> Instance | None:
        if not name or "/" in name or not os.path.islink(self._link(name)):
            return None
        return self.get(os.readlink(self._link(name)))

    def _take_name(self, instance: Instance) -> None:
        link = self._link(instance.name)
        os.makedirs(os.path.dirname(link), mode=0o700, exist_ok=True)
        while True:
            try:
                os.symlink(instance.identity, link)
                return
            except FileExistsError:
                holder = os.readlink(link)
            # One that is just being made has the name, too; what a crash left in the middle has not.
            fresh = f"{self.path}/{holder}.new"
            if os.path.isdir(f"{self.path}/{holder}") or (os.path.isdir(fresh) and time.time() - _age(fresh) < 10):
                raise NameTaken(instance.name)
            os.unlink(link)


def check_name(name: str, what: str = "an instance") -> None:
    """Raises BadName for what can't be the name of an instance, or of `what`."""
    # A folder has this name, and beside it others that it begins.
    if not name or name.strip(_NAME) or not name[0].isalnum() or len(name) > _LONGEST_NAME:
        raise BadName(name, what)


def hold(instance: Instance) -> int:
    """Takes the lock of an instance for its supervisor, who keeps the descriptor open. Raises WorkFailed if it is
    supervised already."""
    descriptor = os.open(f"{instance.path}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise WorkFailed(
            f"{instance.name} is running already", f"see: envbuild ps; envbuild stop {instance.name}"
        ) from None
    return descriptor


def write_state(path: str, state: State) -> None:
    """Puts down how an instance stands; `path` is its folder."""
    _write(f"{path}/state.json", json.dumps({name: getattr(state, name) for name in state.__match_args__}))


def write_layers(path: str, layers: tuple[str, ...]) -> None:
    """Puts down which layers an instance is about to mount."""
    _write(f"{path}/{LAYERS}", "".join(f"{one}\n" for one in layers))


def _age(path: str) -> float:
    return os.stat(path).st_mtime


def _write(path: str, text: str) -> None:
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(f"{path}.new", path)
