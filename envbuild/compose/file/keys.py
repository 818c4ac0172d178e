"""The keys of a service that depend on nothing but their own value, and the fields of Service that they set."""

from __future__ import annotations

import re
import shlex

from envbuild.compose.file.model import CONDITIONS, WHEN_STARTED, Dependency, Health
from envbuild.compose.file.ports import port_range, read_ports
from envbuild.compose.file.reader import Reader
from envbuild.compose.file.unsupported import OF_DEPLOY
from envbuild.compose.file.values import boolean, identifier, init, inside, positive, processors, seconds, size, whole
from envbuild.compose.file.yaml_nodes import List, Node, Text
from envbuild.language.values import InvalidValue, signal
from envbuild.text.suggestion import did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Fields = dict[str, Any]


def _words(reader: Reader, node: Node, what: str) -> tuple[str, ...]:
    """Return the words of a list, or of a text that is split as a shell would."""
    if isinstance(node, Text):
        return tuple(reader.checked(_split, node, what) or ())
    return reader.texts(node, what)


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as wrong:
        raise InvalidValue(f"the command can't be split: {wrong}", "close the quote, or write a list") from None


def _depends(reader: Reader, node: Node) -> Fields:
    dependencies = []
    if isinstance(node, List):
        for item in node.items:
            name = reader.text(item, "each part of depends_on")
            if name is not None:
                dependencies.append(Dependency(name, span=item.span))
        return {"depends": tuple(dependencies)}
    for entry in reader.entries(node, "depends_on"):
        dependency = Dependency(entry.key.text, span=entry.key.span)
        for option in reader.entries(entry.value, "depends_on", ("condition", "required", "restart")):
            if option.key.text != "condition":
                yes = reader.checked(boolean, option.value, option.key.text)
                dependency = dependency.replace(**{option.key.text: yes}) if yes is not None else dependency
                continue
            condition = reader.text(option.value, "condition")
            if condition is not None and condition not in CONDITIONS:
                hint = did_you_mean(condition, CONDITIONS, f"it is {', '.join(CONDITIONS)}")
                reader.error(option.value.span, f"unknown condition '{condition}'", hint)
            dependency = dependency.replace(condition=condition or WHEN_STARTED)
        dependencies.append(dependency)
    return {"depends": tuple(dependencies)}


def _health(reader: Reader, node: Node) -> Fields:
    known = ("test", "interval", "timeout", "retries", "start_period", "start_interval", "disable")
    names = {
        "interval": "every",
        "timeout": "timeout",
        "start_period": "start_period",
        "start_interval": "start_interval",
    }
    fields: Fields = {}
    for entry in reader.entries(node, "healthcheck", known):
        key, value = entry.key.text, entry.value
        if key in names:
            fields[names[key]] = reader.checked(seconds, value, key)
        elif key == "retries":
            fields["retries"] = reader.checked(positive, value, key)
        elif key == "disable":
            fields["off"] = bool(reader.checked(boolean, value, key)) or fields.get("off", False)
        elif isinstance(value, List):
            words = reader.texts(value, "test")
            first = words[0] if words else ""
            if first == "NONE":
                fields["off"] = True
            elif first == "CMD" and len(words) > 1:
                fields["argv"] = words[1:]
            elif first == "CMD-SHELL" and len(words) == 2:
                fields["argv"] = ("/bin/sh", "-c", words[1])
            else:
                hint = "as in: [CMD, PROGRAM, WORD], [CMD-SHELL, TEXT], [NONE], or a text for the shell"
                reader.error(value.span, "a list for test starts with CMD, CMD-SHELL or NONE", hint)
        else:
            text = reader.text(value, "test")
            fields["argv"] = None if text is None else ("/bin/sh", "-c", text)
    return {"health": Health(**fields)}


def _restart(reader: Reader, node: Node) -> Fields:
    text = reader.text(node, "restart")
    when, colon, most = (text or "no").partition(":")
    rules = {
        "no": "never",
        "never": "never",
        "always": "always",
        "on-failure": "on-failure",
        "unless-stopped": "always",
    }
    if when not in rules or (colon and (when != "on-failure" or not re.fullmatch("[0-9]{1,9}", most))):
        reader.error(
            node.span, f"restart '{text}' is not a valid rule", "it is no, always, on-failure[:N] or unless-stopped"
        )
        return {}
    return {"restart": rules[when], "restarts": int(most) if colon else None}


def _deploy(reader: Reader, node: Node) -> Fields:
    fields: Fields = {}
    for entry in reader.entries(node, "deploy", ("mode", "replicas", "resources"), OF_DEPLOY):
        if entry.key.text == "mode":
            mode = reader.text(entry.value, "mode")
            if mode not in ("replicated", "global", None):
                reader.error(entry.value.span, f"mode '{mode}' is not supported here", "leave it out")
        elif entry.key.text == "replicas":
            fields.update(_scale(reader, entry.value))
        else:
            absent = {"reservations": "use limits"}
            for part in reader.entries(entry.value, "resources", ("limits",), absent):
                fields.update(_limits(reader, part.value))
    return fields


def _limits(reader: Reader, node: Node) -> Fields:
    checks: dict[str, Callable[[str], object]] = {"memory": size, "cpus": processors, "pids": whole}
    limits = {
        entry.key.text: reader.checked(checks[entry.key.text], entry.value, entry.key.text)
        for entry in reader.entries(node, "limits", checks)
    }
    return {name: value for name, value in limits.items() if value is not None}


def _scale(reader: Reader, node: Node) -> Fields:
    count = reader.checked(whole, node, "scale")
    if count is not None and count > 1:
        reader.error(
            node.span, "more than one instance of a service is not supported here", "write it as several services"
        )
    return {} if count is None else {"scale": count}


def _expose(reader: Reader, node: Node) -> Fields:
    # Services of a network reach all ports of each other: this only documents them, as it does for compose.
    for item in reader.items(node, "expose"):
        reader.checked(port_range, item, "a port")
    return {}


def _labels(reader: Reader, node: Node) -> Fields:
    labels = []
    for name, value, span in reader.pairs(node, "labels"):
        if name.startswith("envbuild."):
            reader.error(span, f"the label {name} is envbuild's own", "choose another name")
        labels.append((name, value or ""))
    return {"labels": tuple(labels)}


def _one(field: str, check: Callable[[str], object]) -> Callable[[Reader, Node], Fields]:
    def read(reader: Reader, node: Node) -> Fields:
        value = reader.checked(check, node, field)
        return {} if value is None else {field: value}

    return read


READERS: dict[str, Callable[[Reader, Node], Fields]] = {
    "command": lambda reader, node: {"command": _words(reader, node, "command")},
    "container_name": _one("container_name", identifier),
    "cpus": _one("cpus", processors),
    "depends_on": _depends,
    "deploy": _deploy,
    "entrypoint": lambda reader, node: {"entrypoint": _words(reader, node, "entrypoint")},
    "expose": _expose,
    "healthcheck": _health,
    "hostname": _one("hostname", identifier),
    "init": _one("init", init),
    "labels": _labels,
    "mem_limit": _one("memory", size),
    "pids_limit": _one("pids", whole),
    "ports": lambda reader, node: {"ports": read_ports(reader, node)},
    "profiles": lambda reader, node: {"profiles": reader.texts(node, "profiles")},
    "read_only": _one("read_only", boolean),
    "restart": _restart,
    "scale": _scale,
    "stop_grace_period": _one("stop_timeout", seconds),
    "stop_signal": _one("stop", signal),
    "user": _one("user", str),
    "working_dir": _one("workdir", inside),
}
