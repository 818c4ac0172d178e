"""Python's distributions of each interpreter and environment that the walk saw, by the names of their metadata
directories (Python packaging's "Recording installed projects"): no interpreter is asked."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from envbuild.capture.machine_root import MachineRoot
from envbuild.capture.state.package_folders import PYTHON_FOLDERS
from envbuild.packages.python_names import normal_name

_METADATA = re.compile(r"([A-Za-z0-9][A-Za-z0-9._+-]*?)-([0-9][A-Za-z0-9.!+_]*)(?:-py[0-9.]+)?\.(?:dist|egg)-info")
_INTERPRETER = re.compile(r"python[0-9]\.[0-9]+")
_PROGRAMS = ("/usr/bin", "/usr/local/bin")
_MAX_BYTES = 1 << 16


def distributions(root: MachineRoot, folders: Collection[bytes]) -> Iterator[tuple[str, ...]]:
    """Yield directory, name, version, who installed it, and `by hand` where pip was asked for it, of each distribution;
    and the interpreters, each environment's with what it says of itself."""
    for program in _PROGRAMS:
        for name in root.names(program):
            if _INTERPRETER.fullmatch(name):
                yield program[1:], "(interpreter)", name
    for place in sorted(folders):
        if place.rpartition(b"/")[2] not in PYTHON_FOLDERS:
            continue
        path = place.decode("utf-8", "surrogateescape")
        yield from _environment(root, path)
        for name in root.names(f"/{path}"):
            match = _METADATA.fullmatch(name)
            if match is None:
                continue
            files = root.names(f"/{path}/{name}")
            installer = ""
            if "INSTALLER" in files:
                installer = (root.read_text(f"/{path}/{name}/INSTALLER", 100, follow=False) or "").strip()
            row = (path, normal_name(match[1]), match[2], installer)
            yield (*row, "by hand") if "REQUESTED" in files else row


def _environment(root: MachineRoot, path: str) -> Iterator[tuple[str, ...]]:
    """Yield what the environment that a directory belongs to says of its interpreter (pyvenv.cfg, PEP 405)."""
    above = path.rpartition("/lib/")[0]
    if not above or not (text := root.read_text(f"/{above}/pyvenv.cfg", _MAX_BYTES, follow=False)):
        return
    fields: dict[str, str] = {}
    for line in text.split("\n"):
        name, _, value = line.partition("=")
        fields[name.strip()] = value.strip()
    version = fields.get("version", fields.get("version_info", ""))
    yield path, "(environment)", version, fields.get("home", ""), fields.get("include-system-site-packages", "")
