"""The configuration of an instance, in addition to its image's: frozen values that are kept beside the instance."""

from __future__ import annotations

from envbuild.errors import UsageError, fields
from envbuild.instances.network import NO_NETWORK
from envbuild.instances.network.ports import Port
from envbuild.instances.records import Instance, InstanceDamaged
from envbuild.plan.image_config import Facts
from envbuild.record import Pairs, Record, values
from envbuild.store.record_text import fits
from envbuild.text import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

BIND, VOLUME, TMPFS = "bind", "volume", "tmpfs"
NEVER, ON_FAILURE, ALWAYS = "never", "on-failure", "always"


class Mount(Record):
    """Something that is mounted at `target`. `source` is a path of the host (bind), a volume's name (volume) or ""
    (tmpfs); `size` are a tmpfs' bytes, 0 for the kernel's own limit."""

    kind: str
    source: str
    target: str
    read_only: bool = False
    size: int = 0


class Limits(Record):
    """What an instance may use; 0 is no limit. `memory` in bytes, `cpus` in processors, `pids` processes and
    threads."""

    memory: int = 0
    cpus: float = 0.0
    pids: int = 0


class Restart(Record):
    """When a command that has ended is restarted: never, on-failure or always; at most `most` times, None for no
    end."""

    when: str = NEVER
    most: int | None = None

    def wants(self, code: int, restarts: int) -> bool:
        """Tell whether it is started again after it ended with `code`."""
        if self.most is not None and restarts >= self.most:
            return False
        return self.when == ALWAYS or (self.when == ON_FAILURE and code != 0)


class Health(Record):
    """How an instance is checked: a command inside, every so many seconds. Failures in the first `start_period` seconds
    do not count, and `retries` of them in a row make it unhealthy. Until it is healthy it is checked every
    `start_interval` seconds in that time; with 0, more and more seldom."""

    argv: tuple[str, ...]
    every: float = 30.0
    timeout: float = 30.0
    retries: int = 3
    start_period: float = 0.0
    start_interval: float = 0.0


class Settings(Record):
    """The whole configuration. `user` and `workdir` are what the command runs with; `stop` is a signal's name; times in
    seconds. `network` is none, host, private, or the name of a network, in which the instance is also called `aliases`.
    `fixed` are folders of the image that can't be written; an `unfiltered` one has no filter of system calls. Without
    `init` the command is process 1 itself. `own_volumes` are the names of those that were made for this instance
    alone."""

    argv: tuple[str, ...]
    environment: Pairs = ()
    user: str = ""
    workdir: str = "/"
    home: str = "/root"
    hostname: str = ""
    mounts: tuple[Mount, ...] = ()
    read_only: bool = False
    fixed: tuple[str, ...] = ()
    unfiltered: bool = False
    network: str = NO_NETWORK
    aliases: tuple[str, ...] = ()
    ports: tuple[Port, ...] = ()
    restart: Restart = Restart()
    stop: str = "TERM"
    stop_timeout: float = 10.0
    health: Health | None = None
    limits: Limits = Limits()
    labels: Pairs = ()
    init: bool = True
    own_volumes: tuple[str, ...] = ()

    def variables(self, facts: Facts) -> dict[str, str]:
        """Return what a command in the instance finds in its environment."""
        return {"HOME": self.home, **facts.environment_of_commands(), **dict(self.environment)}


def to_plain(settings: Settings) -> dict[str, Any]:
    """Return the settings as JSON types."""
    plain: dict[str, Any] = {name: getattr(settings, name) for name in settings.__match_args__}
    for name in ("restart", "limits"):
        plain[name] = list(values(plain[name]))
    for name in ("mounts", "ports"):
        plain[name] = [list(values(item)) for item in plain[name]]
    if settings.init:
        del plain["init"]  # as records of earlier versions are, and `up` compares
    if not settings.own_volumes:
        del plain["own_volumes"]
    plain["health"] = None if settings.health is None else list(values(settings.health))
    return plain


_TEXT = frozenset((str, int, float, bool))
_SHAPES: dict[str, object] = {
    "argv": [str],
    "aliases": [str],
    "fixed": [str],
    "own_volumes": [str],
    "environment": [(str, str)],
    "labels": [(str, str)],
    **dict.fromkeys(("user", "workdir", "home", "hostname", "network", "stop"), str),
    **dict.fromkeys(("read_only", "unfiltered", "init"), bool),
    "mounts": [[_TEXT]],
    "ports": [(str, int, int, str)],
    "restart": [frozenset((str, int, None))],
    "limits": [float],
    "stop_timeout": float,
}


def from_plain(plain: dict[str, Any]) -> Settings:
    """from_plain(to_plain(settings)) == settings, also when it went through JSON.

    What another version of envbuild did not know has its default, and what only that knew is left out. Raises
    ValueError, TypeError, IndexError, KeyError and AttributeError for what is none.
    """
    for name, shape in _SHAPES.items():
        if name in plain and not fits(plain[name], shape):
            raise ValueError(f"'{name}' is not as envbuild writes it")
    readers: dict[str, Callable[[Any], Any]] = {
        "argv": tuple,
        "aliases": tuple,
        "fixed": tuple,
        "own_volumes": tuple,
        "environment": _pairs,
        "labels": _pairs,
        "mounts": lambda rows: tuple(Mount(*row) for row in rows),
        "ports": lambda rows: tuple(Port(*row) for row in rows),
        "restart": lambda row: Restart(*row),
        "limits": lambda row: Limits(*row),
        "health": lambda row: None if row is None else Health(tuple(row[0]), *row[1:]),
    }
    known = {name: plain[name] for name in Settings.__match_args__ if name in plain}
    return Settings(**{name: readers.get(name, lambda value: value)(value) for name, value in known.items()})


def _pairs(rows: Sequence[Sequence[str]]) -> Pairs:
    return tuple((name, value) for name, value in rows)


def dump(settings: Settings) -> str:
    """Return the text that is kept beside an instance."""
    return json.dumps(to_plain(settings))


def settings_of(instance: Instance) -> Settings:
    """Return what an instance was started with. Raises InstanceDamaged."""
    try:
        return from_plain(json.loads(instance.settings))
    except (ValueError, TypeError, IndexError, KeyError, AttributeError, RecursionError) as error:
        raise InstanceDamaged(instance, "its settings make no sense") from error


def health_of(facts: Facts) -> Health | None:
    """Return the check that an image asks for."""
    if facts.health is None:
        return None
    check = facts.health
    return Health(
        check.program.argv, check.every, check.timeout, check.retries, check.start_period, check.start_interval
    )


def parameters_of(facts: Facts, argv: tuple[str, ...]) -> Pairs:
    """Return the recipe's parameters that the image's own commands mention: those of its start command if that is what
    runs, and those of its health check."""
    parameters = dict(facts.health.program.parameters) if facts.health is not None else {}
    if facts.start is not None and argv == facts.command():
        parameters.update(facts.start.parameters)
    return tuple(parameters.items())


def init_of(facts: Facts, argv: tuple[str, ...]) -> bool:
    """Tell whether `argv` has a process 1 beside it: what the image says is about its own start command."""
    return facts.init or facts.start is None or argv != facts.command()


def runs_systemd(settings: Settings) -> bool:
    """Tell whether the command is systemd, as process 1 itself: it wants empty directories and a control group."""
    return not settings.init and settings.argv[0].rpartition("/")[2] in ("systemd", "init")


@fields
class NothingToRun(UsageError):
    """The image has no start command, and none was given."""

    reference: str

    def text(self) -> tuple[str, str]:
        return (
            f"{self.reference} has no start command",
            f"give one: envbuild run {self.reference} -- COMMAND, or envbuild shell",
        )
