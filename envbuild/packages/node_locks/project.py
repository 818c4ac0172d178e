"""What a project's package.json says that its lock has to answer."""

from __future__ import annotations

from envbuild.packages.documents import fields_of
from envbuild.packages.manager import Contents
from envbuild.packages.npm_settings import setting_of
from envbuild.plan.step import InstallPackages

MANIFEST = "package.json"
SECTIONS = {"dependencies": "", "devDependencies": "dev", "optionalDependencies": "optional"}
"""The parts of package.json with what a project needs, and the kinds of these by which they can be left out."""


def named(contents: Contents, name: str) -> tuple[str, bytes]:
    """Return the path and content of the project's file of this name."""
    return next((path, content) for path, content in contents if path.rpartition("/")[2] == name)


def wanted(contents: Contents, omit: frozenset[str]) -> list[tuple[str, str, bool]]:
    """Return what a project needs: (alias, range, whether it is optional), without the kinds in `omit`. Raises
    BadDocument."""
    path, content = named(contents, MANIFEST)
    manifest = fields_of(content, path)
    ranges: dict[str, tuple[str, bool]] = {}
    for section, kind in SECTIONS.items():
        entries = manifest.fields(section)
        for alias in entries.names():
            # The last one holds, as for the package managers: what is optional may stand among the others too.
            if kind in omit:
                if kind == "optional":
                    ranges.pop(alias, None)
                continue
            if kind != "dev" or alias not in ranges:
                ranges[alias] = entries.text(alias), kind == "optional"
    return [(alias, text, optional) for alias, (text, optional) in sorted(ranges.items())]


def omitted(action: InstallPackages, contents: Contents) -> frozenset[str]:
    """Return the kinds of dependencies that are left out, as the stage's variables and the project's settings say."""
    variables = {name.lower(): value for name, value in action.environment}

    def setting(name: str) -> str:
        return variables.get(f"npm_config_{name}", "") or setting_of(contents, name)

    kinds = set(setting("omit").replace(",", " ").split())
    if dict(action.environment).get("NODE_ENV") == "production" or setting("production") == "true":
        kinds.add("dev")
    if setting("optional") == "false":
        kinds.add("optional")
    return frozenset(kinds - set(setting("include").replace(",", " ").split()))
