"""The facts that a configuration of others says, and the other way what platform an architecture is."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from envbuild.linux.signal_names import signal_number
from envbuild.oci.config import PLATFORMS
from envbuild.oci.manifest import BadImage, Config
from envbuild.plan.image_config import DEFAULT_ENVIRONMENT, Facts, HealthCheck, Program
from envbuild.record import Pairs

_NANO = 1_000_000_000
_EVERY, _TIMEOUT, _RETRIES = 30.0, 30.0, 3
"""Docker's defaults (Dockerfile reference, HEALTHCHECK)."""
_MAX_TEXT = 1 << 17
"""Bytes of one word of a command or variable: Linux takes no longer one (execve(2), MAX_ARG_STRLEN)."""


def facts_of_config(config: Config, newest: int, source: str) -> Facts:
    """Return the facts; `newest` is the time of the newest file in seconds, which stands in for a date of making that
    isn't there. Raises BadImage for what is not as docker has it."""
    settings = config.settings
    read = _Reader(settings, source)
    stop = read.text("StopSignal") or "TERM"
    if not signal_number(stop):
        raise BadImage(source, f"{stop[:40]!a} is no signal")
    return Facts(
        arch=arch_of(config.architecture, config.variant),
        epoch=_seconds(config.created, newest),
        environment=read.environment(),
        user=read.text("User"),
        workdir=_absolute(read.text("WorkingDir") or "/"),
        entry=read.program("Entrypoint"),
        start=read.program("Cmd"),
        stop=stop.upper().removeprefix("SIG"),
        health=_health(settings.get("Healthcheck"), source),
        expose=tuple(sorted(port if "/" in port else f"{port}/tcp" for port in read.names("ExposedPorts"))),
        volumes=tuple(sorted(path for path in read.names("Volumes") if path.startswith("/"))),
        labels=tuple(sorted((name, str(text)) for name, text in read.table("Labels").items())),
    )


def arch_of(architecture: str, variant: str) -> str:
    """Return a platform in Debian's words, as facts have it."""
    for word, known in PLATFORMS.items():
        if known == (architecture, variant):
            return word
    return next((word for word, known in PLATFORMS.items() if known[0] == architecture), architecture)


class _Reader:
    """Fields of a configuration, each as what it has to be."""

    def __init__(self, settings: dict[str, Any], source: str) -> None:
        self._settings = settings
        self._source = source

    def text(self, name: str) -> str:
        value = self._settings.get(name)
        if value is None:
            return ""
        return self._word(value, name)

    def table(self, name: str) -> dict[str, Any]:
        value = self._settings.get(name)
        if value is None:
            return {}
        if not isinstance(value, dict) or not all(isinstance(text, str | dict) for text in value.values()):
            raise BadImage(self._source, f"its configuration's {name} is no table")
        return value

    def names(self, name: str) -> list[str]:
        return [self._word(key, name) for key in self.table(name)]

    def program(self, name: str) -> Program | None:
        value = self._settings.get(name)
        if not value:
            return None
        return Program(self._words(value, name))

    def environment(self) -> Pairs:
        pairs = {}
        for line in self._words(self._settings.get("Env") or [], "Env"):
            name, _, value = line.partition("=")
            if name:
                pairs[name] = value
        for name, value in DEFAULT_ENVIRONMENT:
            if pairs.get(name) == value:
                del pairs[name]
        return tuple(sorted(pairs.items()))

    def _words(self, value: object, name: str) -> tuple[str, ...]:
        if isinstance(value, str):
            value = [value]
        if not isinstance(value, list):
            raise BadImage(self._source, f"its configuration's {name} is no list of words")
        return tuple(self._word(word, name) for word in value)

    def _word(self, value: object, name: str) -> str:
        if not isinstance(value, str) or "\0" in value or len(value) > _MAX_TEXT:
            raise BadImage(self._source, f"its configuration's {name} is not text, or too long")
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise BadImage(self._source, f"its configuration's {name} is not text") from error
        return value


def _absolute(path: str) -> str:
    return path if path.startswith("/") else f"/{path}"


def _health(plain: object, source: str) -> HealthCheck | None:
    if not isinstance(plain, dict):
        return None
    test = _Reader(plain, source)._words(plain.get("Test") or [], "Healthcheck")
    if not test or test[0] == "NONE":
        return None
    argv = ("/bin/sh", "-c", *test[1:]) if test[0] == "CMD-SHELL" else test[1:]
    if not argv:
        return None
    retries = plain.get("Retries")
    return HealthCheck(
        Program(argv),
        _interval(plain.get("Interval"), _EVERY),
        _interval(plain.get("Timeout"), _TIMEOUT),
        retries if isinstance(retries, int) and 0 < retries < 1000 else _RETRIES,
        _interval(plain.get("StartPeriod"), 0.0),
        _interval(plain.get("StartInterval"), 0.0),
    )


def _interval(value: object, default: float) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value) or value <= 0:
        return default
    return value / _NANO


def _seconds(text: str, newest: int) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return newest
    return max(0, int(moment.timestamp())) if moment.tzinfo is not None else newest
