"""What can be wrong with declared packages."""

from __future__ import annotations

from envbuild.errors import WorkFailed, fields
from envbuild.lockfile.lock import Package
from envbuild.packages.registry import plain_name


@fields
class Unresolved(WorkFailed):
    """The package manager found no packages that fit; it says why itself."""

    manager: str
    reason: str
    hint: str = ""

    def text(self) -> tuple[str, str]:
        return (
            f"{self.manager} can't resolve it:\n{self.reason.rstrip()}",
            self.hint or "check the names and versions, and that this machine's package sources have them",
        )


@fields
class WrongHash(WorkFailed):
    """A file is not the one that the lock or the index names."""

    package: Package
    actual: str
    where: str

    def text(self) -> tuple[str, str]:
        return (
            f"{self.package.name} {self.package.version}: {self.where} is not the file that the lock names\n"
            f"  expected {self.package.hash}\n  got      {self.actual}",
            "nothing of it was kept; if the new file is meant, "
            + (
                "let its own tool write the project's lock anew"
                if _is_of_projects_lock(self.package)
                else f"renew its line in the lock with: envbuild update {plain_name(self.package.name)}"
            ),
        )


@fields
class NotToBeHad(WorkFailed):
    """No source of this machine has a file that the lock names; if it is not `locked`, all of the recipe is resolved
    anew."""

    package: Package
    reasons: list[str]
    locked: bool = True

    def text(self) -> tuple[str, str]:
        tried = "".join(f"\n  {reason}" for reason in self.reasons)
        message = f"{self.package.name} {self.package.version}: {self.package.origin} can't be fetched{tried}"
        if _is_of_projects_lock(self.package):
            return message, "check the network, and that the registry has what the project's lock names"
        renewed = f" {plain_name(self.package.name)}" if self.locked else ""
        return (
            message,
            "check the network; an archive may have what the source dropped (ENVBUILD_DEBIAN_SNAPSHOT); if newer "
            f"versions will do: envbuild update RECIPE{renewed}",
        )


def _is_of_projects_lock(package: Package) -> bool:
    """Return whether a package is a crate, a module or an artifact: their names have their version."""
    return f"@{package.version}" in package.name[1:]


@fields
class TooLargeToFetch(WorkFailed):
    """A file is larger than the limit on what is fetched."""

    url: str
    most: int

    def text(self) -> tuple[str, str]:
        return (
            f"{self.url} is larger than {self.most:,} bytes, the limit on one file that is fetched",
            f"if it is meant to be, allow more: ENVBUILD_FETCH_LIMIT={max(1, 2 * self.most >> 30)}g envbuild build ...",
        )


@fields
class NoManager(WorkFailed):
    """The tree lacks what it takes to install the packages of this manager."""

    manager: str
    lacking: str
    mend: str

    def text(self) -> tuple[str, str]:
        return f"{self.manager}: the tree has no {self.lacking}", self.mend
