"""Instances on record: what each was started with, how it stands, and its own files.

`instances/ID/` holds `config.json`, which never changes, `state.json`, the supervisor's last word, `log`, the socket
`control`, and `upper` and `work` for overlayfs. The supervisor holds a lock on `lock` as long as it lives: so whether
an instance runs is known after a crash and a restart of the machine, too, whatever its last word was. What an instance
is called lies beside these (instance_names.py).
"""

from __future__ import annotations

import os
import time

from envbuild.errors import UsageError, fields
from envbuild.images.reference import BadName
from envbuild.instances.instance_names import Names, NameTaken, check_name
from envbuild.instances.lock import hold, is_held, make_lock
from envbuild.instances.record import (
    DAMAGED,
    EXITED,
    FRESH,
    LAYERS,
    LOST,
    RESTARTING,
    RUNNING,
    STARTING,
    TEMPORARY,
    DamagedInstance,
    Instance,
    InstanceDamaged,
    RecordUnreadable,
    State,
    read_config,
    read_state,
    write_config,
    write_layers,
    write_state,
)
from envbuild.linux.rmtree import remove
from envbuild.store.owner import refuse_others
from envbuild.tree.entry import Digest

__all__ = [
    "DAMAGED",
    "EXITED",
    "LAYERS",
    "LOST",
    "RESTARTING",
    "RUNNING",
    "STARTING",
    "DamagedInstance",
    "Instance",
    "InstanceDamaged",
    "Instances",
    "NoSuchInstance",
    "State",
    "hold",
    "write_layers",
    "write_state",
]

_OWN_VOLUMES = "own_volumes"
"""What the settings of an instance call the volumes that were made for it (instances/config.py)."""
_LEFT = 600.0
"""Seconds after which what is half made or half removed is nobody's any more."""


@fields
class NoSuchInstance(UsageError):
    """No instance has this name or id."""

    reference: str
    names: tuple[str, ...]

    def text(self) -> tuple[str, str]:
        from envbuild.text.suggestion import did_you_mean  # only on a mistake

        hint = did_you_mean(self.reference, self.names, "`envbuild ps --all` lists the instances")
        return f"there is no instance '{self.reference}'", hint


@fields
class AmbiguousInstance(UsageError):
    """The beginning of an id fits several instances."""

    reference: str
    identities: tuple[str, ...]

    def text(self) -> tuple[str, str]:
        return (
            f"'{self.reference}' fits {len(self.identities)} instances",
            f"give more digits: {', '.join(self.identities)}",
        )


class Instances:
    """The instances of one store."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._names = Names(path)

    @classmethod
    def of(cls, store_path: str) -> Instances:
        """Return those of the store in this folder, which need not be open: most that is asked of them is not in its
        database. Raises SomebodyElses."""
        refuse_others(store_path)
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
        """Put a new instance on record, and take its lock: (instance, the lock's descriptor).

        Without a `name` it gets one. Unless it is `temporary`, `settle` has to follow. Raises NameTaken and BadName.
        """
        os.makedirs(self.path, mode=0o700, exist_ok=True)
        if name is not None:
            check_name(name)
        identity = os.urandom(6).hex()
        plain = reference.partition("@")[0].partition(":")[0].rpartition("/")[2].strip(".-_") or "instance"
        while name is None and not self._names.is_free(f"{plain}-{identity[:4]}"):
            identity = os.urandom(6).hex()
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
        # Whole or not at all: what has no name of its own yet is nobody's.
        temporary_folder = f"{folder}.new"
        os.mkdir(temporary_folder, 0o700)
        lock = make_lock(temporary_folder)
        try:
            self._names.take(made.name, identity)
            for inner in ("upper", "work"):
                os.mkdir(f"{temporary_folder}/{inner}", 0o755)
            write_state(temporary_folder, State(STARTING))
            write_config(temporary_folder, made)
            os.rename(temporary_folder, folder)
        except BaseException:
            os.close(lock)
            remove(temporary_folder)
            raise
        return made, lock

    def get(self, identity: str) -> Instance | None:
        """Return the instance with this whole id. Raises InstanceDamaged."""
        record = self._read(identity)
        if isinstance(record, DamagedInstance):
            raise InstanceDamaged(record)
        return record

    def all(self) -> list[Instance]:
        """Return all instances whose records can be read, the newest first."""
        instances = [instance for instance in map(self._read, self._identities()) if isinstance(instance, Instance)]
        return sorted(instances, key=lambda instance: -instance.made)

    def damaged(self) -> list[DamagedInstance]:
        """Return those whose records cannot be read, by name; not those that the next command tidies up."""
        damaged = [record for record in map(self._read, self._identities()) if isinstance(record, DamagedInstance)]
        kept = [instance for instance in damaged if not self._is_nobodys(instance)]
        return sorted(kept, key=lambda record: record.name)

    def has_name(self, name: str) -> bool:
        """Tell whether an instance is called exactly so."""
        return self._named(name) is not None

    def refuse_name(self, name: str) -> None:
        """Raise BadName or NameTaken for what can't be the name of a new instance."""
        check_name(name)
        if self.has_name(name):
            raise NameTaken(name)

    def find(self, reference: str) -> Instance:
        """Return the instance of this name, or of an id that begins so. Raises NoSuchInstance and InstanceDamaged."""
        record = self.find_any(reference)
        if isinstance(record, DamagedInstance):
            raise InstanceDamaged(record)
        return record

    def find_any(self, reference: str) -> Instance | DamagedInstance:
        """Return what `find` does, and one whose record is damaged, too: for what needs no more than its folder."""
        named = self._named(reference)
        if named is not None:
            return named
        everything: list[Instance | DamagedInstance] = [*self.all(), *self.damaged()]
        # A loss of power may have taken the link that stands for a name.
        fitting = [instance for instance in everything if instance.name == reference]
        fitting = fitting or [
            instance for instance in everything if reference and instance.identity.startswith(reference)
        ]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise AmbiguousInstance(reference, tuple(instance.identity for instance in fitting))
        raise NoSuchInstance(reference, tuple(instance.name for instance in everything))

    def state(self, instance: Instance) -> State:
        """Return how it stands now: the supervisor's last word, or `lost` where that is gone without having said so."""
        state = read_state(instance.path)
        if state.status == EXITED or self.is_supervised(instance):
            return state
        # It may have said so after the first look, and ended before the second.
        state = read_state(instance.path)
        return state if state.status == EXITED else state.replace(status=LOST)

    def is_supervised(self, instance: Instance | DamagedInstance) -> bool:
        """Tell whether its supervisor lives."""
        return is_held(instance.path)

    def layers_in_use(self) -> set[str]:
        """Return the paths of all layers that running instances have mounted, also one whose record is damaged."""
        used: set[str] = set()
        for identity in self._identities():
            folder = f"{self.path}/{identity}"
            try:
                with open(f"{folder}/{LAYERS}", encoding="utf-8", errors="surrogateescape") as file:
                    layers = file.read().splitlines()
            except (FileNotFoundError, NotADirectoryError):
                continue
            if is_held(folder):
                used.update(layers)
        return used

    def left_over(self) -> list[Instance | DamagedInstance]:
        """Return temporary instances whose supervisor was killed before it could remove them, and what a loss of power
        left of one that was just being started."""
        marked = [
            identity
            for identity in self._identities()
            if self._is_marked(identity, TEMPORARY) or self._is_marked(identity, FRESH)
        ]
        records = [instance for instance in map(self._read, marked) if instance is not None]
        return [instance for instance in records if self._is_nobodys(instance)]

    def tidy(self) -> None:
        """Remove temporary instances whose supervisor was killed, and what was left half made or half removed."""
        for instance in self.left_over():
            self.remove(instance)
        for name in self._listed():
            # One that is being made or removed right now is let alone.
            if name.endswith((".new", ".gone")) and self._is_left(f"{self.path}/{name}"):
                remove(f"{self.path}/{name}")

    def remove(self, instance: Instance | DamagedInstance, *, volumes: bool = False) -> None:
        """Take an instance away with all that it wrote, and the groups that a killed supervisor left; it has to be
        over. With `volumes`, and if it was to go with its command, also the volumes that were made for it."""
        from envbuild.instances.cgroup_records import remove_groups  # not for a start

        remove_groups(instance.path)
        gone = f"{instance.path}.gone"
        try:
            os.rename(instance.path, gone)
        except FileNotFoundError:
            return  # another command is at it
        if isinstance(instance, Instance) and (volumes or instance.temporary):
            self._take_volumes(instance, gone)
        self._names.give_up(instance.name, instance.identity)
        remove(gone)

    def _take_volumes(self, instance: Instance, gone: str) -> None:
        """Move the volumes that were made for an instance to what is left of it: they go with it."""
        for number, name in enumerate(own_volumes_of(instance)):
            try:
                os.rename(f"{os.path.dirname(self.path)}/volumes/{name}", f"{gone}/volume-{number}")
            except FileNotFoundError:
                pass  # the user has removed it

    def put_aside(self, instance: DamagedInstance) -> None:
        """Move a damaged instance to the store's folder `damaged`, with all that it wrote."""
        from envbuild.store.missing_objects import put_aside  # for repairs alone

        put_aside(instance.path, os.path.dirname(self.path))
        self._names.give_up(instance.name, instance.identity)

    def _listed(self) -> list[str]:
        try:
            return os.listdir(self.path)
        except FileNotFoundError:
            return []

    def _identities(self) -> list[str]:
        return [name for name in self._listed() if "." not in name]

    def _is_nobodys(self, instance: Instance | DamagedInstance) -> bool:
        broken = isinstance(instance, DamagedInstance) and self._is_marked(instance.identity, FRESH)
        return (broken or self._is_marked(instance.identity, TEMPORARY)) and not self.is_supervised(instance)

    def _is_marked(self, identity: str, marker: str) -> bool:
        return os.path.exists(f"{self.path}/{identity}/{marker}")

    def _read(self, identity: str) -> Instance | DamagedInstance | None:
        folder = f"{self.path}/{identity}"
        try:
            return read_config(folder, identity)
        except NotADirectoryError:
            return None
        except FileNotFoundError:
            if not os.path.isdir(folder):
                return None
            reason = "config.json is missing"
        except RecordUnreadable as error:
            reason = error.message
        return DamagedInstance(identity, self._names.of(identity) or identity, folder, reason)

    def _named(self, name: str) -> Instance | DamagedInstance | None:
        identity = self._names.holder(name)
        return None if identity is None else self._read(identity)

    def _is_left(self, path: str) -> bool:
        """Tell whether nobody is making or removing this any more."""
        if path.endswith(".new") and os.path.exists(f"{path}/lock"):
            return not is_held(path)
        try:
            return time.time() - os.lstat(path).st_ctime > _LEFT
        except FileNotFoundError:
            return False  # just finished


def own_volumes_of(instance: Instance) -> tuple[str, ...]:
    """Return the names of the volumes that were made for an instance alone."""
    if f'"{_OWN_VOLUMES}"' not in instance.settings:
        return ()
    from envbuild.text.json import loads  # few have any

    try:
        names = loads(instance.settings)[_OWN_VOLUMES]
        for name in names:
            check_name(name, "a volume")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, BadName):
        return ()  # a damaged record: nobody knows which they are
    return tuple(names)
