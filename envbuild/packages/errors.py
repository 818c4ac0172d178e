"""What can be wrong with declared packages."""

from __future__ import annotations

from envbuild.errors import WorkFailed
from envbuild.lockfile.lock import Package


class Unresolved(WorkFailed):
    """The package manager found no packages that fit; it says why itself."""

    def __init__(self, manager: str, reason: str, hint: str = "") -> None:
        super().__init__(
            f"{manager} can't resolve it:\n{reason.rstrip()}",
            hint or "check the names and versions, and that this machine's package sources have them",
        )


class WrongHash(WorkFailed):
    """A file is not the one that the lock or the index names."""

    def __init__(self, package: Package, actual: str, where: str) -> None:
        super().__init__(
            f"{package.name} {package.version}: {where} is not the file that the lock names\n"
            f"  expected {package.hash}\n  got      {actual}",
            "nothing of it was kept; if the new file is meant, renew its line in the lock with: envbuild update "
            f"{package.name.rpartition('node_modules/')[2].partition(':')[0]}",
        )


class NotToBeHad(WorkFailed):
    """No source of this machine has a file that the lock names."""

    def __init__(self, package: Package, reasons: list[str], *, locked: bool = True) -> None:
        """Without `locked` no lock has the package yet, and all of the recipe is resolved anew."""
        tried = "".join(f"\n  {reason}" for reason in reasons)
        renewed = f" {package.name.rpartition('node_modules/')[2].partition(':')[0]}" if locked else ""
        super().__init__(
            f"{package.name} {package.version}: {package.origin} can't be fetched{tried}",
            "check the network; an archive may have what the source dropped (ENVBUILD_DEBIAN_SNAPSHOT); if newer "
            f"versions will do: envbuild update RECIPE{renewed}",
        )
        self.package = package
        self.reasons = reasons


class TooLargeToFetch(WorkFailed):
    """A file is larger than the limit on what is fetched."""

    def __init__(self, url: str, most: int) -> None:
        super().__init__(
            f"{url} is larger than {most:,} bytes, the limit on one file that is fetched",
            f"if it is meant to be, allow more: ENVBUILD_FETCH_LIMIT={max(1, 2 * most // 1_000_000_000)}GB "
            "envbuild build ...",
        )


class NoManager(WorkFailed):
    """The tree has not got what it takes to install such packages."""
