"""What can be wrong with declared packages."""

from __future__ import annotations

from envbuild.errors import WorkFailed, fields
from envbuild.lockfile.lock import Package


def _plain(package: Package) -> str:
    """Return the name that an update takes."""
    return package.name.rpartition("node_modules/")[2].partition(":")[0]


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
    """A file is not the one that the lock or the index names. `renewal` is what names it for envbuild's own lock, if
    something does."""

    package: Package
    actual: str
    where: str
    renewal: str = ""

    def text(self) -> tuple[str, str]:
        own = f"its line in the lock with: envbuild update {_plain(self.package)}"
        return (
            f"{self.package.name} {self.package.version}: {self.where} is not the file that the lock names\n"
            f"  expected {self.package.hash}\n  got      {self.actual}",
            f"nothing of it was kept; if the new file is meant, renew {self.renewal or own}",
        )


@fields
class NotToBeHad(WorkFailed):
    """No source of this machine has a file that the lock names; if it is not `locked`, all of the recipe is resolved
    anew. `renewal` is what names it for that lock, if something does: then an update brings the same."""

    package: Package
    reasons: list[str]
    locked: bool = True
    renewal: str = ""

    def text(self) -> tuple[str, str]:
        tried = "".join(f"\n  {reason}" for reason in self.reasons)
        renewed = f"envbuild update RECIPE{f' {_plain(self.package)}' if self.locked else ''}"
        return (
            f"{self.package.name} {self.package.version}: {self.package.origin} can't be fetched{tried}",
            f"check the network; if another version will do, renew {self.renewal}"
            if self.renewal
            else "check the network; an archive may have what the source dropped (ENVBUILD_DEBIAN_SNAPSHOT); if newer "
            f"versions will do: {renewed}",
        )


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
