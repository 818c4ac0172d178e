"""What of a project's pyproject.toml decides which distributions it needs, as opposed to all else that it says."""

from __future__ import annotations

import json
import tomllib

from envbuild.errors import UsageError, fields

_PROJECT = ("name", "requires-python", "dependencies", "optional-dependencies", "dynamic")


@fields
class UnusableProject(UsageError):
    """A pyproject.toml can't be read."""

    path: str
    reason: str

    def text(self) -> tuple[str, str]:
        return f"{self.path}: {self.reason}", "see Python packaging's guide on pyproject.toml"


def read_project(path: str, content: bytes) -> dict[str, object]:
    """Return what a pyproject.toml says. Raises UnusableProject."""
    try:
        return tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deep" if isinstance(error, RecursionError) else f"it is not TOML: {error}"
        raise UnusableProject(path, reason) from None


def what_decides(path: str, content: bytes) -> bytes:
    """Return those parts of a pyproject.toml that say what the project needs, as JSON: the same for files that differ
    in other parts alone. Raises UnusableProject."""
    plain = read_project(path, content)
    project, tool = _table(plain, "project"), _table(plain, "tool")
    groups = _table(_table(tool, "poetry"), "group")
    kept = {
        "project": {name: project[name] for name in _PROJECT if name in project},
        "dependency-groups": plain.get("dependency-groups", {}),
        "build-system": plain.get("build-system", {}),
        "tool": {
            "uv": {name: value for name, value in _table(tool, "uv").items() if name == "default-groups"},
            "poetry": {"group": {name: {"optional": _table(groups, name).get("optional") is True} for name in groups}},
        },
    }
    return json.dumps(kept, sort_keys=True, default=str).encode()


def _table(plain: dict[str, object], name: str) -> dict[str, object]:
    value = plain.get(name)
    return value if isinstance(value, dict) else {}
