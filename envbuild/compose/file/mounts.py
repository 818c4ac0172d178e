"""`volumes`, `tmpfs`, `secrets` and `configs` of a service: what is mounted over the image's files."""

from __future__ import annotations

from envbuild.compose.file.model import Mount, Resource
from envbuild.compose.file.reader import Reader
from envbuild.compose.file.values import boolean, inside, size
from envbuild.compose.file.yaml_nodes import Map, Node, Text
from envbuild.language.syntax import Span
from envbuild.language.values import InvalidValue
from envbuild.text.suggestion import did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_READ_ONLY = {"ro": True, "rw": False}
# What SELinux and a Mac's virtual machine need; here there is neither between the host and an instance.
_NO_MEANING = ("z", "Z", "cached", "consistent", "delegated", "nocopy")


class Volumes:
    """The volumes that a service may name, and its anonymous ones."""

    def __init__(self, group: str, service: str, declared: Mapping[str, Resource]) -> None:
        self._group = group
        self._service = service
        self._declared = declared
        self.anonymous: list[str] = []

    def named(self, reader: Reader, key: str, span: Span) -> str:
        """Return the real name of a volume of the file."""
        if key not in self._declared:
            hint = did_you_mean(key, self._declared, f"declare it: volumes: {{{key}: }}; a directory is ./{key}")
            reader.error(span, f"there is not a valid volume '{key}'", hint)
            return key
        return self._declared[key].name

    def unnamed(self, target: str) -> str:
        """Return the name of a volume that has none, and goes with the service."""
        name = unnamed_volume(self._group, self._service, target)
        self.anonymous.append(name)
        return name


def unnamed_volume(group: str, service: str, target: str) -> str:
    """Return the name of a volume of a service that has none in the file."""
    plain = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in target.strip("/"))
    return f"{group}_{service}_{plain}"


def read_volumes(reader: Reader, node: Node, volumes: Volumes) -> tuple[Mount, ...]:
    """Return the mounts of `volumes`."""
    mounts = []
    for item in reader.items(node, "volumes"):
        mount = _long(reader, item, volumes) if isinstance(item, Map) else _short(reader, item, volumes)
        if mount is not None:
            mounts.append(mount)
    return tuple(mounts)


def _short(reader: Reader, node: Node, volumes: Volumes) -> Mount | None:
    text = reader.text(node, "a volume")
    if text is None:
        return None
    parts = text.split(":")
    options = parts[2].split(",") if len(parts) == 3 else []
    target = parts[1] if len(parts) > 1 else parts[0]
    if len(parts) > 3 or not parts[0] or not target.startswith("/"):
        reader.error(node.span, f"'{text}' is not a valid volume", "as in: ./data:/srv/data:ro, or NAME:/srv/data")
        return None
    for option in options:
        if option not in _READ_ONLY and option not in _NO_MEANING:
            reader.error(node.span, f"unknown option '{option}' of a volume", "it is ro or rw, as in ./a:/b:ro")
    read_only = "ro" in options
    target = inside(target)
    if len(parts) == 1:
        return Mount("volume", volumes.unnamed(target), target, span=node.span)
    if parts[0][0] in "./~":
        return Mount("bind", reader.host_path(parts[0]), target, read_only, create=True, span=node.span)
    return Mount("volume", volumes.named(reader, parts[0], node.span), target, read_only, span=node.span)


def _long(reader: Reader, node: Map, volumes: Volumes) -> Mount | None:
    known = ("type", "source", "target", "read_only", "bind", "volume", "tmpfs", "consistency")
    given = {entry.key.text: entry.value for entry in reader.entries(node, "a volume", known)}
    kind = reader.text(given["type"], "type") if "type" in given else ""
    if kind not in ("bind", "volume", "tmpfs"):
        span = given["type"].span if "type" in given else node.span
        reader.error(span, f"'{kind}' is not a valid type of a volume" if kind else "a volume needs its type", _KINDS)
        return None
    target = reader.checked(inside, given["target"], "target") if "target" in given else None
    source = reader.text(given["source"], "source") if "source" in given else ""
    if target is None or source is None:
        if "target" not in given:
            reader.error(node.span, "a volume needs a target", "as in: target: /srv/data")
        return None
    read_only = "read_only" in given and bool(reader.checked(boolean, given["read_only"], "read_only"))
    create, bytes_ = _options(reader, kind, given)
    if kind == "tmpfs":
        return Mount("tmpfs", "", target, size=bytes_, span=node.span)
    if kind == "volume":
        name = volumes.named(reader, source, given["source"].span) if source else volumes.unnamed(target)
        return Mount("volume", name, target, read_only, span=node.span)
    if not source:
        reader.error(node.span, "a bind needs a source", "as in: source: ./data")
        return None
    return Mount("bind", reader.host_path(source), target, read_only, create=create, span=node.span)


_KINDS = "it is bind (of a directory of the host), volume (of the store) or tmpfs (in memory)"


def _options(reader: Reader, kind: str, given: dict[str, Node]) -> tuple[bool, int]:
    """Tell whether a folder to bind is made, and the size of a tmpfs."""
    create, bytes_ = True, 0
    if (kind != "bind" and "bind" in given) or (kind != "volume" and "volume" in given):
        reader.error(given["bind" if "bind" in given else "volume"].span, f"these options don't apply to a {kind}", "")
    if "bind" in given:
        absent = {"propagation": "leave it out", "selinux": "leave it out", "recursive": "leave it out"}
        for option in reader.entries(given["bind"], "bind", ("create_host_path",), absent):
            create = bool(reader.checked(boolean, option.value, option.key.text))
    if "volume" in given:
        for option in reader.entries(given["volume"], "volume", ("nocopy",), {"subpath": "mount the whole volume"}):
            reader.checked(boolean, option.value, option.key.text)
    if "tmpfs" in given:
        for option in reader.entries(given["tmpfs"], "tmpfs", ("size",), {"mode": "it is 1777, as /tmp"}):
            bytes_ = reader.checked(size, option.value, option.key.text) or 0
    return create, bytes_


def read_tmpfs(reader: Reader, node: Node) -> tuple[Mount, ...]:
    """Return the mounts of `tmpfs`: paths, each with `:size=64m` or without."""
    nodes = (node,) if isinstance(node, Text) and not node.is_nothing else reader.items(node, "tmpfs")
    mounts = [reader.checked(_tmpfs, node, "tmpfs") for node in nodes]
    return tuple(mount.replace(span=each.span) for mount, each in zip(mounts, nodes, strict=True) if mount is not None)


def _tmpfs(text: str) -> Mount:
    path, _, options = text.partition(":")
    bytes_ = 0
    for option in options.split(",") if options else []:
        name, _, value = option.partition("=")
        if name == "size":
            bytes_ = size(value)
        elif option not in ("rw", "mode=1777", "noexec", "nosuid", "nodev"):
            raise InvalidValue(f"unknown option '{option}' of a tmpfs", "as in: /run:size=64m")
        elif option == "noexec":
            raise InvalidValue("'noexec' of a tmpfs is not supported here", "leave it out")
    return Mount("tmpfs", "", inside(path), size=bytes_)


def read_files(reader: Reader, node: Node, what: str, declared: Mapping[str, str], folder: str) -> tuple[Mount, ...]:
    """Return the mounts of `secrets` or `configs`: files of the host that show read-only, below `folder` unless
    told."""
    mounts = []
    for item in reader.items(node, what):
        given: dict[str, str | None] = {}
        if isinstance(item, Map):
            known = ("source", "target", "uid", "gid", "mode")
            given = {
                entry.key.text: reader.text(entry.value, entry.key.text) for entry in reader.entries(item, what, known)
            }
            for name in ("uid", "gid", "mode"):
                if name in given:
                    reader.error(item.span, f"'{name}' of {what} is not supported here", "the file's own is what shows")
        else:
            given["source"] = reader.text(item, f"each part of {what}")
        name_ = given.get("source")
        if name_ is None:
            continue
        if name_ not in declared:
            hint = did_you_mean(name_, declared, f"declare it: {what}: {{{name_}: {{file: ./FILE}}}}")
            reader.error(item.span, f"there is no '{name_}' in {what} of the file", hint)
            continue
        target = given.get("target") or name_
        path = target if target.startswith("/") else f"{folder.rstrip('/')}/{target}"
        mounts.append(Mount("bind", declared[name_], path, True, span=item.span))
    return tuple(mounts)
