"""Node packages that are installed for all of a machine or of a Node: what lies in a `lib/node_modules` that the walk
saw."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from envbuild.capture.machine_root import MachineRoot
from envbuild.capture.state.package_folders import NODE_FOLDER
from envbuild.text import json

_MAX_BYTES = 1 << 20


def packages(root: MachineRoot, folders: Collection[bytes]) -> Iterator[tuple[str, ...]]:
    """Yield directory, name and version of each package, and, in place of the version, where the link leads of one
    that is a link."""
    for place in sorted(folders):
        if not place.endswith(b"lib/" + NODE_FOLDER):
            continue
        path = place.decode("utf-8", "surrogateescape")
        for name in root.names(f"/{path}"):
            inner = [f"{name}/{scoped}" for scoped in root.names(f"/{path}/{name}")] if name[0] == "@" else [name]
            for package in inner:
                yield from _package(root, path, package)


def _package(root: MachineRoot, path: str, name: str) -> Iterator[tuple[str, ...]]:
    target = root.link(f"/{path}/{name}")
    if target is not None:
        yield path, name, "", target
        return
    text = root.read_text(f"/{path}/{name}/package.json", _MAX_BYTES, follow=False)
    if text is None:
        return
    try:
        plain = json.loads(text)
    except (ValueError, RecursionError):
        plain = None
    version = plain.get("version") if isinstance(plain, dict) else None
    yield path, name, version if isinstance(version, str) else ""
