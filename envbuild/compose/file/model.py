"""The model of a compose file: values as they will be used, with their places for later errors.

Everything here is frozen. Paths of the host are absolute, names of volumes and networks are the real ones.
"""

from __future__ import annotations

from envbuild.instances.network.ports import Port
from envbuild.language.syntax import NOWHERE, Span
from envbuild.record import Pairs, Record
from envbuild.text.diagnostics import Diagnostic

WHEN_STARTED, WHEN_HEALTHY, WHEN_COMPLETED = "service_started", "service_healthy", "service_completed_successfully"
CONDITIONS = (WHEN_STARTED, WHEN_HEALTHY, WHEN_COMPLETED)


class Recipe(Record):
    """A recipe that gives a service its image: the file's path, and its parameters as `set` gives them."""

    path: str
    settings: Pairs = ()


class Dependency(Record):
    """The condition that another service has to meet first. A service that is not `required` may be missing or
    fail. With `restart` the service is recreated when the other one is."""

    service: str
    condition: str = WHEN_STARTED
    required: bool = True
    restart: bool = False
    span: Span = NOWHERE


class Mount(Record):
    """Something mounted at `target`: `kind` is bind, volume or tmpfs; `source` a path of the host, or a volume's
    real name. A folder to bind that is not there is made if `create`. `size` in bytes, 0 for no limit."""

    kind: str
    source: str
    target: str
    read_only: bool = False
    size: int = 0
    create: bool = False
    span: Span = NOWHERE


class Health(Record):
    """A health check; None means: as in the image. Times in seconds. `off` takes away the
    image's. `argv` is what is run."""

    argv: tuple[str, ...] | None = None
    every: float | None = None
    timeout: float | None = None
    retries: int | None = None
    start_period: float | None = None
    start_interval: float | None = None
    off: bool = False


class Service(Record):
    """One service. None means: as in the image.

    `network` is none, host, private or the real name of a network, `aliases` are the service's names in it.
    `restart` is never, on-failure or always, `restarts` how often at most. `memory` in bytes, `stop_timeout` in
    seconds. `anonymous` are the volumes that go with the service.
    """

    name: str
    image: str | None = None
    recipe: Recipe | None = None
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    environment: Pairs = ()
    ports: tuple[Port, ...] = ()
    mounts: tuple[Mount, ...] = ()
    depends: tuple[Dependency, ...] = ()
    health: Health | None = None
    restart: str = "never"
    restarts: int | None = None
    user: str | None = None
    workdir: str | None = None
    hostname: str | None = None
    container_name: str | None = None
    network: str = "private"
    aliases: tuple[str, ...] = ()
    read_only: bool = False
    stop: str | None = None
    stop_timeout: float | None = None
    init: bool | None = None
    memory: int = 0
    cpus: float = 0.0
    pids: int = 0
    labels: Pairs = ()
    profiles: tuple[str, ...] = ()
    scale: int = 1
    anonymous: tuple[str, ...] = ()
    span: Span = NOWHERE
    origin: Span = NOWHERE
    """Where its image or recipe is named."""


class Resource(Record):
    """A volume or a network: its key in the file, its real name, and whether it is external."""

    key: str
    name: str
    external: bool = False
    span: Span = NOWHERE


class Group(Record):
    """A whole file. `lines` are its text, for later errors; `notes` are for the user."""

    name: str
    file: str
    services: tuple[Service, ...]
    volumes: tuple[Resource, ...] = ()
    networks: tuple[Resource, ...] = ()
    notes: tuple[Diagnostic, ...] = ()
    lines: tuple[str, ...] = ()

    def service(self, name: str) -> Service | None:
        """Return the service of this name."""
        return next((service for service in self.services if service.name == name), None)

    def problem(self, span: Span, message: str, hint: str = "") -> Diagnostic:
        """Return what is wrong at a place of the file."""
        return diagnostic(self.file, self.lines, span, message, hint)


def diagnostic(
    file: str, lines: tuple[str, ...], span: Span, message: str, hint: str = "", severity: str = "error"
) -> Diagnostic:
    """Return a finding with the line that it is about."""
    source = lines[span.line - 1] if 0 < span.line <= len(lines) else ""
    # The end of a text that goes on in the next line is not known by its column.
    length = max(1, min(span.length, len(source) - span.column + 1))
    return Diagnostic(message, file, span.line, span.column, length, hint, (), source, severity)
