"""Reading one service: each key has the meaning that docker-compose gives it."""

from __future__ import annotations

from envbuild.compose.file.environment import read_environment
from envbuild.compose.file.keys import READERS
from envbuild.compose.file.model import Recipe, Resource, Service
from envbuild.compose.file.mounts import Volumes, read_files, read_tmpfs, read_volumes
from envbuild.compose.file.reader import Reader
from envbuild.compose.file.unsupported import OF_SERVICE, OF_SERVICE_NETWORK
from envbuild.compose.file.values import identifier
from envbuild.compose.file.yaml_nodes import Entry, List, Map, Node, Text
from envbuild.instances.network import HOST_NETWORK
from envbuild.language.syntax import Span
from envbuild.language.values import InvalidValue
from envbuild.text.suggestion import did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    Fields = dict[str, Any]

KEYS = (
    *READERS,
    *("configs", "env_file", "environment", "image", "network_mode", "networks", "recipe", "secrets", "set", "tmpfs"),
    "volumes",
)


class Declared:
    """The declarations in the rest of the file that a service may name."""

    def __init__(
        self,
        group: str,
        volumes: Mapping[str, Resource],
        networks: Mapping[str, Resource],
        secrets: Mapping[str, str],
        configs: Mapping[str, str],
    ) -> None:
        self.group = group
        self.volumes = volumes
        self.networks = networks
        self.secrets = secrets
        self.configs = configs


def read_service(reader: Reader, entry: Entry, declared: Declared) -> Service:
    """Return the service of one entry of `services`.

    Mistakes are reported to the reader, and their keys are ignored.
    """
    name, span = entry.key.text, entry.key.span
    check_name(reader, entry.key, identifier)
    given = {item.key.text: item for item in reader.entries(entry.value, f"service {name}", KEYS, OF_SERVICE)}
    volumes = Volumes(declared.group, name, declared.volumes)
    fields: Fields = {"name": name, "span": span}
    for key, item in given.items():
        if key in READERS and not (isinstance(item.value, Text) and item.value.is_nothing):
            fields.update(READERS[key](reader, item.value))
    nodes = {key: item.value for key, item in given.items()}
    fields["mounts"] = (
        *(read_volumes(reader, nodes["volumes"], volumes) if "volumes" in nodes else ()),
        *(read_tmpfs(reader, nodes["tmpfs"]) if "tmpfs" in nodes else ()),
        *(
            read_files(reader, nodes["secrets"], "secrets", declared.secrets, "/run/secrets")
            if "secrets" in nodes
            else ()
        ),
        *(read_files(reader, nodes["configs"], "configs", declared.configs, "/") if "configs" in nodes else ()),
    )
    fields["anonymous"] = tuple(volumes.anonymous)
    _check_targets(reader, fields["mounts"])
    fields["environment"] = read_environment(reader, nodes)
    fields.update(_network(reader, name, nodes, declared, fields.get("container_name")))
    if fields.get("network") == HOST_NETWORK and fields.get("ports"):
        reader.note(given["ports"].key.span, "with the host's network ports lead nowhere", "leave them out", "warning")
        fields["ports"] = ()
    fields.update(_origin(reader, entry, given))
    return Service(**fields)


def check_name(reader: Reader, key: Text, check: Callable[[str], object]) -> None:
    """Tell of a key that can't be a name."""
    try:
        check(key.text)
    except InvalidValue as wrong:
        reader.error(key.span, wrong.message, wrong.hint)


def _check_targets(reader: Reader, mounts: tuple[Any, ...]) -> None:
    seen: dict[str, Span] = {}
    for mount in mounts:
        if mount.target in seen:
            reader.error(mount.span, f"{mount.target} has a mount already", f"in line {seen[mount.target].line}")
        seen.setdefault(mount.target, mount.span)


def _origin(reader: Reader, entry: Entry, given: Mapping[str, Entry]) -> Fields:
    """Return where the image comes from."""
    name, span = entry.key.text, entry.key.span
    if "recipe" in given:
        if "image" in given:
            reader.error(given["image"].key.span, "a service has an image or a recipe", "leave out one of them")
        path = reader.text(given["recipe"].value, "recipe")
        settings = reader.pairs(given["set"].value, "set") if "set" in given else ()
        for parameter, value, where in settings:
            if value is None:
                reader.error(where, f"the parameter {parameter} has no value", "as in: set: {python: '3.12'}")
        if path is None:
            return {}
        plain = tuple((parameter, str(value)) for parameter, value, _ in settings)
        where = given["recipe"].value.span
        return {"recipe": Recipe(reader.shown_path(reader.host_path(path)), plain), "origin": where}
    if "set" in given:
        reader.error(
            given["set"].key.span, "'set' gives parameters to a recipe, and there is none", "add: recipe: FILE"
        )
    if "image" in given:
        return {"image": reader.text(given["image"].value, "image"), "origin": given["image"].value.span}
    if not (isinstance(entry.value, Map) and entry.value.get("build")):
        reader.error(span, f"service {name} has no image", "add: image: NAME, or recipe: FILE.env")
    return {}


def _network(
    reader: Reader, name: str, nodes: Mapping[str, Node], declared: Declared, container_name: str | None
) -> Fields:
    aliases = tuple(dict.fromkeys(alias for alias in (name, container_name) if alias))
    if "network_mode" in nodes:
        mode = reader.text(nodes["network_mode"], "network_mode")
        if "networks" in nodes:
            reader.error(nodes["networks"].span, "a service has networks or a network_mode", "leave out one of them")
        if mode not in ("none", "host", "private", "bridge"):
            if mode is not None:
                hint = "none, host or bridge (a network of its own); for one with others: networks"
                reader.error(nodes["network_mode"].span, f"network_mode '{mode}' is not supported here", hint)
            return {}
        return {"network": "private" if mode == "bridge" else mode, "aliases": ()}
    node = nodes.get("networks")
    chosen: list[tuple[str, Span, Node | None]] = []
    if isinstance(node, List):
        chosen = [
            (text, item.span, None) for item in node.items if (text := reader.text(item, "a network")) is not None
        ]
    elif node is not None:
        chosen = [(entry.key.text, entry.key.span, entry.value) for entry in reader.entries(node, "networks")]
    if len(chosen) > 1:
        hint = "services of one network reach each other by name: put those that have to meet into one"
        reader.error(chosen[1][1], "a service is in one network here, not in several", hint)
    key, span, options = chosen[0] if chosen else ("default", Span(1, 1, 1), None)
    if key not in declared.networks:
        hint = did_you_mean(key, declared.networks, f"declare it: networks: {{{key}: }}")
        reader.error(span, f"there is no network '{key}'", hint)
        return {}
    for option in reader.entries(options, "a service's network", ("aliases",), OF_SERVICE_NETWORK) if options else ():
        aliases = tuple(dict.fromkeys((*aliases, *reader.texts(option.value, "aliases"))))
    return {"network": declared.networks[key].name, "aliases": aliases}
