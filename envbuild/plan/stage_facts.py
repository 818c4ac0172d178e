"""What statements that run nothing change: the facts of a stage, such as its environment, its ports and its start."""

from __future__ import annotations

from envbuild.errors import UsageError, fields
from envbuild.language import model
from envbuild.language.statement_parts import Command, EnvironmentReference, EnvironmentValue, Place, choose
from envbuild.plan.image_config import Facts, HealthCheck, Program
from envbuild.record import Pairs

INSTANCE_SHELL = ("/bin/sh",)


@fields
class UndefinedVariable(UsageError):
    """An `env` value mentions a variable that the stage doesn't have at that point."""

    place: Place
    reference: EnvironmentReference

    def text(self) -> tuple[str, str]:
        name = self.reference.name
        return (
            f"{self.place.file}:{self.reference.line}:{self.reference.column}: ${{{name}}} is neither a parameter "
            "nor set in the environment of this stage so far",
            f"set it first (env {name}=...), or write \\${{{name}}} for the text itself",
        )


@fields
class NothingToDrop(UsageError):
    """`unset` names something that neither the base nor the stage has."""

    place: Place
    name: str

    def text(self) -> tuple[str, str]:
        return (
            f"{self.place.file}:{self.place.line}: unset {self.name}: the stage has no such fact at this point",
            "drop the word, or look at what the base brings with: envbuild show",
        )


def after_statement(statement: model.Statement, facts: Facts) -> Facts:
    """Return the facts after a statement that only changes facts. Raises UndefinedVariable and NothingToDrop."""
    match statement:
        case model.Env():
            environment = dict(facts.environment)
            for name, value in statement.values:
                environment[name] = _expand(value, environment, statement.place)
            return facts.replace(environment=_sorted(environment))
        case model.User():
            return facts.replace(user=statement.name)
        case model.Expose():
            return facts.replace(expose=tuple(sorted({*facts.expose, *statement.ports}, key=_port_order)))
        case model.Volume():
            return facts.replace(volumes=tuple(sorted({*facts.volumes, *statement.directories})))
        case model.Label():
            return facts.replace(labels=_sorted({**dict(facts.labels), **dict(statement.values)}))
        case model.Start():
            return facts.replace(start=_program(statement.argv, statement.command), init=statement.init)
        case model.Stop():
            return facts.replace(stop=statement.signal)
        case model.Health():
            program = _program(None, statement.command)
            check = HealthCheck(
                program,
                statement.every,
                statement.timeout,
                statement.retries,
                statement.start_period,
                statement.start_interval,
            )
            return facts.replace(health=check)
        case model.NoHealth():
            return facts.replace(health=None)
        case model.Unset():
            for name in statement.names:
                facts = _unset(name, facts, statement.place)
                facts = facts.replace(init=facts.init or facts.start is None)
            return facts
        case _:
            raise AssertionError(f"no meaning for {type(statement).__name__}")


def _expand(value: EnvironmentValue, environment: dict[str, str], place: Place) -> str:
    known = {**Facts("", 0).environment_of_commands(), **environment}
    parts = []
    for part in value:
        if isinstance(part, str):
            parts.append(part)
        elif part.operator:
            held = known.get(part.name, "")
            # The text counts only where it is taken: what it names may be set only then.
            taken = bool(held) == (part.operator == "+")
            parts.append(choose(part.operator, held, _expand(part.text, environment, place) if taken else ""))
        elif part.name in known:
            parts.append(known[part.name])
        else:
            raise UndefinedVariable(place, part)
    return "".join(parts)


def _program(argv: tuple[str, ...] | None, command: Command | None) -> Program:
    if argv is not None:
        return Program(argv)
    assert command is not None
    return Program((*INSTANCE_SHELL, "-c", command.text), command.parameters)


_UNSET: dict[str, object] = {
    "entry": None,
    "start": None,
    "health": None,
    "stop": "TERM",
    "user": "",
    "workdir": "/",
    "expose": (),
    "volume": (),
    "label": (),
    "env": (),
}
_FIELDS = {"volume": "volumes", "label": "labels", "env": "environment"}


def _unset(name: str, facts: Facts, place: Place) -> Facts:
    kind, colon, member = name.partition(":")
    field = _FIELDS.get(kind, kind)
    held = getattr(facts, field)
    if not colon:
        if held == _UNSET[kind]:
            raise NothingToDrop(place, name)
        return facts.replace(**{field: _UNSET[kind]})
    if kind in ("env", "label"):
        kept: tuple[object, ...] = tuple(pair for pair in held if pair[0] != member)
    else:
        kept = tuple(item for item in held if item != member)
    if kept == held:
        raise NothingToDrop(place, name)
    return facts.replace(**{field: kept})


def _sorted(values: dict[str, str]) -> Pairs:
    return tuple(sorted(values.items()))


def _port_order(port: str) -> tuple[int, str]:
    number, _, protocol = port.partition("/")
    return int(number), protocol
