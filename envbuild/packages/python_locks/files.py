"""The files that are installed of what a lock file pins: as packages of a lock, or as what pip is asked to build."""

from __future__ import annotations

from collections.abc import Sequence

from envbuild.lockfile.lock import Package
from envbuild.packages.python_locks.document import UnusableLockFile
from envbuild.packages.python_locks.pinned import Pinned, TargetPython, best_file
from envbuild.packages.python_names import INDEX, WheelName


def files_of(path: str, locked: Sequence[Pinned], target: TargetPython) -> tuple[list[tuple[Package, str]], list[str]]:
    """Return the wheels that are installed, each with the index that the lock file has it from; and lines of a
    requirement file for what pip has to be asked for: sources, and files whose names nobody says. Raises
    UnusableLockFile."""
    packages, lines = [], []
    for pinned in locked:
        if pinned.hashes:
            hashes = " ".join(f"--hash=sha256:{digits}" for digits in pinned.hashes)
            lines.append(f"{pinned.name}=={pinned.version} {hashes}")
            continue
        file = best_file(pinned, target)
        if file is None:
            files = ", ".join(file.name for file in pinned.files[:3]) or "none"
            raise UnusableLockFile(
                path,
                f"it has no file of {pinned.name} {pinned.version} that {target.shown} can use: {files}",
                "lock for this Python too, or take another base",
            )
        if isinstance(file.name, WheelName):
            origin = pinned.address or INDEX + file.name
            packages.append((Package(pinned.name, pinned.version, f"sha256:{file.sha256}", origin), pinned.index))
        elif pinned.address:
            lines.append(f"{pinned.name} @ {pinned.address} --hash=sha256:{file.sha256}")
        else:
            lines.append(f"{pinned.name}=={pinned.version} --hash=sha256:{file.sha256}")
    return packages, lines
