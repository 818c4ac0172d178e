"""The control groups that were made for an instance: its folder names them, and they go with it."""

from __future__ import annotations

import errno
import os

KEPT = "cgroups"
"""The file in an instance's folder that names its groups, so that those of a crash are found."""


def keep_groups(folder: str, paths: tuple[str, ...]) -> None:
    """Put down which groups the instance in this folder is about to have."""
    with open(f"{folder}/{KEPT}", "w", encoding="utf-8") as file:
        file.write("".join(f"{path}\n" for path in paths))


def groups_of(folder: str) -> tuple[str, ...]:
    """Return the groups of the instance in this folder that are there."""
    try:
        with open(f"{folder}/{KEPT}", encoding="utf-8") as file:
            return tuple(path for path in file.read().splitlines() if os.path.isdir(path))
    except (FileNotFoundError, NotADirectoryError):
        return ()


def remove_groups(folder: str) -> None:
    """Take the groups of an instance away, in which nothing runs any more, with those that were made in them.

    One whose last process is just going is tried again for a moment.
    """
    import time

    for path in _innermost_first(groups_of(folder)):
        for _ in range(50):
            try:
                os.rmdir(path)
            except OSError as error:
                if error.errno != errno.EBUSY:
                    break
                time.sleep(0.002)
            else:
                break
    try:
        os.unlink(f"{folder}/{KEPT}")
    except FileNotFoundError:
        pass


def _innermost_first(paths: tuple[str, ...]) -> list[str]:
    return [folder for path in paths for folder, _, _ in os.walk(path, topdown=False)]
