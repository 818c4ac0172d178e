"""Removing a directory with all that is in it, however deep it is and whatever its modes are."""

from __future__ import annotations

import os


def remove(path: str) -> None:
    """Remove a file, or a directory with its contents; nothing where there is nothing. Follows no link.

    Goes down and up by descriptors, one at a time, so that neither the length of a path nor the number of open
    files limits the depth. Several may remove one directory at a time.
    """
    while True:
        try:
            os.unlink(path)
            return
        except FileNotFoundError:
            return
        except (IsADirectoryError, PermissionError):
            pass
        try:
            _remove_directory(path)
            return
        except FileNotFoundError:
            continue  # somebody else removed a part of it at this moment: there is less of it now


def _remove_directory(path: str) -> None:
    current = _open(path, None)
    names: list[str] = []
    try:
        pending = [_clear(current)]
        while True:
            if pending[-1]:
                names.append(pending[-1].pop())
                current = _replace(current, _open(names[-1], current))
                pending.append(_clear(current))
            elif names:
                pending.pop()
                current = _replace(current, os.open("..", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=current))
                os.rmdir(names.pop(), dir_fd=current)
            else:
                break
    finally:
        os.close(current)
    os.rmdir(path)


def _clear(directory: int) -> list[str]:
    """Remove all but directories; return the names of those."""
    inner = []
    with os.scandir(directory) as items:
        for item in items:
            if item.is_dir(follow_symlinks=False):
                inner.append(item.name)
            else:
                os.unlink(item.name, dir_fd=directory)
    return inner


def _open(name: str, parent: int | None) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(name, flags, dir_fd=parent)
    except PermissionError:
        # overlayfs leaves a directory without any permission in its work directory.
        os.chmod(name, 0o700, dir_fd=parent)
        return os.open(name, flags, dir_fd=parent)


def _replace(old: int, new: int) -> int:
    os.close(old)
    return new
