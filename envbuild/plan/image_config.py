"""The facts of an image: what it says beside its tree, such as environment, user, start and ports.

Facts have one canonical form, JSON with sorted names and without spaces. An image's digest is that of its
tree's digest and this form, so an equal tree with other facts is another image.
"""

from __future__ import annotations

from envbuild.digest import sha256_of
from envbuild.record import Pairs, Record
from envbuild.text import json

DEFAULT_ENVIRONMENT = (
    ("LANG", "C.UTF-8"),
    ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    ("TZ", "UTC"),
)
"""What every command finds unless the recipe says otherwise: the C locale, UTC, and Debian's search path."""


class Program(Record):
    """What an instance runs: words for the kernel, and the recipe's parameters that they mention."""

    argv: tuple[str, ...]
    parameters: Pairs = ()


class HealthCheck(Record):
    """How an instance is checked; times in seconds, 0 for those of the start that are not set."""

    program: Program
    every: float
    timeout: float
    retries: int
    start_period: float = 0.0
    start_interval: float = 0.0


class Facts(Record):
    """All facts; pairs are sorted by name. `epoch` is SOURCE_DATE_EPOCH of the build, in seconds. What an instance runs
    begins with `entry`, and goes on with `start` unless it is given another command. Without `init` the start command
    is process 1 itself."""

    arch: str
    epoch: int
    environment: Pairs = ()
    user: str = ""
    workdir: str = "/"
    entry: Program | None = None
    start: Program | None = None
    init: bool = True
    stop: str = "TERM"
    health: HealthCheck | None = None
    expose: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    labels: Pairs = ()

    def command(self, argv: tuple[str, ...] | None = None, entry: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """Return what an instance runs: the entry, or `entry` in its place, and behind it `argv`, or else the start
        command. That was meant for the image's own entry: another is not given it, but for an empty one."""
        start = () if self.start is None or entry else self.start.argv
        if entry is None:
            entry = () if self.entry is None else self.entry.argv
        return (*entry, *(start if argv is None else argv))

    def environment_of_commands(self) -> dict[str, str]:
        """Return what a command in this environment finds set, HOME excepted."""
        return {**dict(DEFAULT_ENVIRONMENT), **dict(self.environment)}


def to_plain(facts: Facts) -> dict[str, object]:
    """Return the facts as JSON types, as `show --format json` documents them. Facts not set are left out."""
    plain: dict[str, object] = {"arch": facts.arch, "epoch": facts.epoch}
    if facts.environment:
        plain["env"] = dict(facts.environment)
    if facts.user:
        plain["user"] = facts.user
    if facts.workdir != "/":
        plain["workdir"] = facts.workdir
    if facts.entry is not None:
        plain["entry"] = _program_to_plain(facts.entry)
    if facts.start is not None:
        plain["start"] = _program_to_plain(facts.start)
    if not facts.init:
        plain["init"] = "none"
    if facts.stop != "TERM":
        plain["stop"] = facts.stop
    if facts.health is not None:
        plain["health"] = {
            **_program_to_plain(facts.health.program),
            "every": facts.health.every,
            "timeout": facts.health.timeout,
            "retries": facts.health.retries,
            **{name: value for name, value in _start_times(facts.health) if value},
        }
    if facts.expose:
        plain["expose"] = list(facts.expose)
    if facts.volumes:
        plain["volumes"] = list(facts.volumes)
    if facts.labels:
        plain["labels"] = dict(facts.labels)
    return plain


def from_plain(plain: dict[str, object]) -> Facts:
    """from_plain(to_plain(facts)) == facts."""
    health = plain.get("health")
    return Facts(
        arch=_text(plain["arch"]),
        epoch=int(_text(plain["epoch"])),
        environment=_pairs(plain.get("env")),
        user=_text(plain.get("user", "")),
        workdir=_text(plain.get("workdir", "/")),
        entry=_program_from_plain(plain["entry"]) if "entry" in plain else None,
        start=_program_from_plain(plain["start"]) if "start" in plain else None,
        init=plain.get("init") != "none",
        stop=_text(plain.get("stop", "TERM")),
        health=_health_from_plain(health) if isinstance(health, dict) else None,
        expose=_texts(plain.get("expose")),
        volumes=_texts(plain.get("volumes")),
        labels=_pairs(plain.get("labels")),
    )


def dump(facts: Facts) -> str:
    """Return the canonical form."""
    return json.dumps(to_plain(facts), sort_keys=True, separators=(",", ":"))


def load(text: str) -> Facts:
    """load(dump(facts)) == facts."""
    return from_plain(json.loads(text))


def image_digest(tree: str, facts: Facts) -> str:
    """Return the digest that names the image made of this tree and these facts (64 hexadecimal digits)."""
    return sha256_of(f"envbuild image 1\n{tree}\n{dump(facts)}".encode())


def _program_to_plain(program: Program) -> dict[str, object]:
    plain: dict[str, object] = {"argv": list(program.argv)}
    if program.parameters:
        plain["parameters"] = dict(program.parameters)
    return plain


def _program_from_plain(plain: object) -> Program:
    assert isinstance(plain, dict)
    return Program(_texts(plain["argv"]), _pairs(plain.get("parameters")))


def _start_times(health: HealthCheck) -> tuple[tuple[str, float], ...]:
    return ("start_period", health.start_period), ("start_interval", health.start_interval)


def _health_from_plain(plain: dict[str, object]) -> HealthCheck:
    every, timeout, retries = plain["every"], plain["timeout"], plain["retries"]
    period, interval = plain.get("start_period", 0.0), plain.get("start_interval", 0.0)
    assert isinstance(every, (int, float))
    assert isinstance(timeout, (int, float))
    assert isinstance(retries, int)
    assert isinstance(period, (int, float))
    assert isinstance(interval, (int, float))
    return HealthCheck(_program_from_plain(plain), every, timeout, retries, period, interval)


def _text(value: object) -> str:
    return str(value)


def _texts(value: object) -> tuple[str, ...]:
    return tuple(str(item) for item in value) if isinstance(value, list) else ()


def _pairs(value: object) -> Pairs:
    return tuple(sorted((str(k), str(v)) for k, v in value.items())) if isinstance(value, dict) else ()
