"""Loading a compose file: from bytes to the model, reporting all errors together."""

from __future__ import annotations

import os
import re

from envbuild.compose.file.dotenv import BadVariables, read_variables
from envbuild.compose.file.model import Group, Resource, diagnostic
from envbuild.compose.file.order import wrong_dependencies
from envbuild.compose.file.reader import Reader, ServiceErrors
from envbuild.compose.file.service import Declared, check_name, read_service
from envbuild.compose.file.unsupported import OF_FILE, OF_NETWORK, OF_VOLUME
from envbuild.compose.file.values import boolean, group_name, identifier
from envbuild.compose.file.yaml_nodes import BadYaml, Entry, Map, parse
from envbuild.errors import FileUnusable, UsageError, fields
from envbuild.instances.network import RESERVED
from envbuild.language.syntax import NOWHERE, Span
from envbuild.language.values import InvalidValue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

FILES = (
    "services.yaml",
    "services.yml",
    "compose.yaml",
    "compose.yml",
    "docker-compose.yaml",
    "docker-compose.yml",
)
MAX_BYTES = 1_000_000
"""Bytes that a file may have."""
_KEYS = ("name", "version", "services", "networks", "volumes", "secrets", "configs")


@fields
class NoFile(UsageError):
    """No file of services was found."""

    directory: str

    def text(self) -> tuple[str, str]:
        return (
            f"there is no services.yaml in {self.directory}, nor in a directory above it",
            "write one (docs/services.md), or name it",
        )


@fields
class GroupFileTooLarge(UsageError):
    """What was named is too large for a file of services."""

    path: str

    def text(self) -> tuple[str, str]:
        return f"{self.path} has more than {MAX_BYTES:,} bytes", "is it a file of services?"


@fields
class BadGroupName(UsageError):
    """`--name` has what no group can be called."""

    name: str
    error: InvalidValue

    def text(self) -> tuple[str, str]:
        return f"--name {self.name}: {self.error.message}", self.error.hint


@fields
class BadDotEnv(UsageError):
    """The file `.env` beside a file of services can't be read as variables."""

    path: str
    error: BadVariables

    def text(self) -> tuple[str, str]:
        return self.error.at(self.path), "as in: NAME=VALUE"


def find_file(folder: str) -> tuple[str, tuple[str, ...]]:
    """Return the first of FILES in this directory or the nearest one above it, and the others of FILES beside it.

    Raises NoFile.
    """
    start = os.path.abspath(folder)
    at = start
    while True:
        names = [name for name in FILES if os.path.isfile(os.path.join(at, name))]
        if names:
            return os.path.relpath(os.path.join(at, names[0]), start), tuple(names[1:])
        if at == os.path.dirname(at):
            raise NoFile(start)
        at = os.path.dirname(at)


def looks_like_file(text: str) -> bool:
    """Tell whether an argument names a file rather than a group or a service."""
    return text.endswith((".yaml", ".yml")) or "/" in text or os.path.isfile(text)


def name_of_folder(folder: str) -> str:
    """Return the name of a group whose file lies in this directory: lower case, without invalid characters."""
    name = os.path.basename(os.path.abspath(folder)).lower()
    kept = "".join(letter for letter in name if letter.isascii() and (letter.isalnum() or letter in "-_"))
    return kept.lstrip("-_") or "group"


def load_group(path: str, user: Mapping[str, str], home: str, name: str | None = None) -> Group:
    """Return the group of a file.

    `user` are the user's variables, which go before those of `.env` beside the file; `home` is the user's folder;
    `name` goes before the file's own. Raises ServiceErrors and UsageError.
    """
    content = _read(path)
    variables = {**_beside(path, user), **user}
    text = _decoded(path, content)
    reader = Reader(path, text, variables, home)
    try:
        root = parse(text, reader.error)
    except BadYaml as wrong:
        raise ServiceErrors([diagnostic(path, reader.lines, wrong.span, wrong.message, wrong.hint)]) from None
    if not isinstance(root, Map):
        span = root.span if root is not None else NOWHERE
        raise ServiceErrors([diagnostic(path, reader.lines, span, "there are no services in this file", _START)])
    group = _group(reader, root, name)
    reader.errors += wrong_dependencies(group)
    reader.finish()
    return group.replace(notes=tuple(reader.notes))


_START = "as in: services: {web: {image: web}}"


def _group(reader: Reader, root: Map, name: str | None) -> Group:
    parts = {entry.key.text: entry for entry in reader.entries(root, "a file of services", _KEYS, OF_FILE)}
    if "version" in parts:
        reader.note(parts["version"].key.span, "'version' has no meaning any more", "leave it out")
    given = reader.checked(group_name, parts["name"].value, "name") if "name" in parts else None
    if name is not None:
        try:
            group_name(name)
        except InvalidValue as wrong:
            raise BadGroupName(name, wrong) from None
    called = name or given or name_of_folder(reader.folder)
    volumes = _resources(reader, parts.get("volumes"), "volume", called + "_", OF_VOLUME)
    networks = _resources(reader, parts.get("networks"), "network", called + "_", OF_NETWORK)
    networks.setdefault("default", Resource("default", _default_network(called)))
    declared = Declared(
        called,
        volumes,
        networks,
        _files(reader, parts.get("secrets"), "secrets"),
        _files(reader, parts.get("configs"), "configs"),
    )
    entries = reader.entries(parts["services"].value, "services") if "services" in parts else ()
    services = tuple(read_service(reader, entry, declared) for entry in entries)
    if not services:
        span = parts["services"].key.span if "services" in parts else Span(1, 1, 1)
        reader.error(span, "there are no services in this file", _START)
    used = {service.network for service in services}
    return Group(
        called,
        reader.file,
        services,
        tuple(volumes.values()),
        tuple(network for network in networks.values() if network.name in used),
        lines=reader.lines,
    )


def _resources(
    reader: Reader, entry: Entry | None, kind: str, prefix: str, absent: Mapping[str, str]
) -> dict[str, Resource]:
    """Return the volumes or networks of a file, by the names that it has for them."""
    resources: dict[str, Resource] = {}
    for item in reader.entries(entry.value, f"{kind}s") if entry is not None else ():
        key, name, external = item.key.text, None, False
        check_name(reader, item.key, identifier)
        known = ("name", "external", "driver", "labels", *(("internal",) if kind == "network" else ()))
        for option in reader.entries(item.value, f"a {kind}", known, absent):
            match option.key.text:
                case "name":
                    name = reader.checked(identifier, option.value, "name")
                case "external":
                    external = bool(reader.checked(boolean, option.value, "external"))
                case "internal":
                    reader.checked(boolean, option.value, "internal")
                case "labels":
                    reader.pairs(option.value, "labels")
                case _:
                    driver = reader.text(option.value, "driver")
                    if driver not in ("local", "bridge", None):
                        message = f"the driver '{driver}' is not supported here"
                        reader.error(option.value.span, message, "leave it out: there is one kind")
        plain = prefix + key
        if kind == "network":
            plain = _default_network(prefix.removesuffix("_")) if key == "default" else plain
            if name in RESERVED:
                reader.error(item.key.span, f"a network can't be called {name}", f"use network_mode: {name}")
        resources[key] = Resource(key, name or (key if external else plain), external, item.key.span)
    return resources


def _default_network(group: str) -> str:
    """Return the network of a group, but where that is the name of another kind of network."""
    return f"{group}_default" if group in RESERVED else group


def _files(reader: Reader, entry: Entry | None, what: str) -> dict[str, str]:
    """Return the files that `secrets` or `configs` name."""
    files: dict[str, str] = {}
    absent = dict.fromkeys(
        ("environment", "content", "external", "template_driver", "driver"),
        "write it into a file, and name that: file:",
    )
    for item in reader.entries(entry.value, what) if entry is not None else ():
        options = reader.entries(item.value, f"one of {what}", ("file", "name", "labels"), absent)
        path = next((reader.text(option.value, "file") for option in options if option.key.text == "file"), None)
        if path is None:
            if not isinstance(item.value, Map):
                reader.error(item.key.span, f"{item.key.text} needs a file", "as in: file: ./token")
            continue
        files[item.key.text] = reader.host_path(path)
        if not os.path.isfile(files[item.key.text]):
            reader.error(
                item.value.span, f"there is no file {reader.shown_path(files[item.key.text])}", "write it first"
            )
    return files


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as wrong:
        raise FileUnusable(path, str(wrong.strerror), "name a file that can be read") from None
    if len(content) > MAX_BYTES:
        raise GroupFileTooLarge(path)
    return content


def _decoded(path: str, content: bytes) -> str:
    """Return the text. Raises ServiceErrors at the first byte or character that can't stand in YAML."""
    text = content.decode("utf-8-sig", "surrogateescape").replace("\r\n", "\n")
    for at, character in enumerate(text):
        code = ord(character)
        if code in (9, 10) or 32 <= code < 127 or 0xA0 <= code < 0xD800 or (code >= 0xE000 and code != 0xFFFE):
            continue
        byte = 0xDC80 <= code <= 0xDCFF
        message = (
            f"the byte 0x{code & 0xFF:02x} is not UTF-8" if byte else f"the character U+{code:04X} can't stand here"
        )
        span = Span(text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at), 1)
        shown = tuple(re.sub("[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", text).split("\n"))
        raise ServiceErrors([diagnostic(path, shown, span, message, "the file is UTF-8 text")])
    return text


def _beside(path: str, user: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of the file `.env` beside a file of services, none where it is not there.

    Raises UsageError.
    """
    beside = os.path.join(os.path.dirname(path), ".env")
    try:
        return read_variables(beside, user)
    except FileNotFoundError:
        return {}
    except BadVariables as bad:
        raise BadDotEnv(beside, bad) from None
