"""The package managers that there are, by the words of their statements."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.packages.manager import PackageManager

KINDS = {"apt": "dpkg", "pip": "python", "npm": "node"}
"""What the inventory calls the packages that each of them installs."""


def manager_of(name: str) -> PackageManager:
    """Return the package manager of this name; each is imported only where a recipe uses it."""
    match name:
        case "apt":
            from envbuild.packages.apt import AptManager

            return AptManager()
        case "aptsource":
            from envbuild.packages.debian_source import SourceManager

            return SourceManager()
        case "pip":
            from envbuild.packages.pip import PipManager

            return PipManager()
        case "npm":
            from envbuild.packages.npm import NpmManager

            return NpmManager()
        case "cargo":
            from envbuild.packages.cargo import CargoManager

            return CargoManager()
        case "go":
            from envbuild.packages.go import GoManager

            return GoManager()
        case "maven":
            from envbuild.packages.maven import MavenManager

            return MavenManager()
    raise AssertionError(f"no package manager is called {name!r}")
