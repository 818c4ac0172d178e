"""The files that a recipe may read: recipes that it includes or starts from, and their locks.

A recipe may be a stranger's, and what can't be parsed is shown. So files are read only from the repository that the
recipe lies in, or from its own folder where that is in none. Paths that lead out of it, also through a link, are
refused, and so is what git keeps of its own: settings may hold tokens.
"""

from __future__ import annotations

import errno
import os

from envbuild.errors import UsageError, fields
from envbuild.git.git_dir import git_dir_of
from envbuild.linux.nofollow import inside, open_real, read_plain

MAX_RECIPE = 4 << 20
MAX_LOCK = 16 << 20


@fields
class UnreadableFile(UsageError):
    """A file that is not a plain one, is too large, or lies where no recipe may read."""

    path: str
    reason: str

    def text(self) -> tuple[str, str]:
        return (
            f"{self.path}: {self.reason}",
            "name a plain file of the recipe's folder, or of the repository that it lies in",
        )


def project_of(path: str) -> str:
    """Return the real path of the folder that the recipe at `path` may read recipes of."""
    folder = os.path.realpath(os.path.dirname(os.path.abspath(path)))
    repository = git_dir_of(folder)
    return os.path.dirname(repository) if repository is not None else folder


def read_recipe(folder: str, path: str) -> bytes:
    """Return the bytes of a recipe in the real folder `folder`. Raises OSError, whose `strerror` says why not."""
    return read_inside(folder, path, MAX_RECIPE)


def check_context(folder: str, path: str) -> None:
    """Raise OSError, whose `strerror` says why, where `path` is not a directory in the real folder `folder` that files
    may be taken from."""
    real = inside(path, folder)
    if real is None:
        raise OSError(errno.EXDEV, f"it leads out of {folder}", path)
    os.close(open_real(real, os.O_PATH | os.O_DIRECTORY))


def read_inside(folder: str, path: str, most: int) -> bytes:
    """Return the bytes of a plain file in the real folder `folder`, at most `most` of them. Raises OSError, whose
    `strerror` says why not."""
    real = inside(path, folder)
    if real is None:
        raise OSError(errno.EXDEV, f"it leads out of {folder}", path)
    if ".git" in real[len(folder) :].lower().split("/"):
        raise OSError(errno.EXDEV, "it is git's own, not a recipe's", path)
    return read_plain(real, most)


def lock_text(path: str, folder: str = "") -> str:
    """Return the text of a lock; `folder` is what it has to lie in, by default what a recipe at its place may read of.
    Raises FileNotFoundError and UnreadableFile."""
    try:
        return read_inside(folder or project_of(path), path, MAX_LOCK).decode("utf-8", "replace")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UnreadableFile(path, error.strerror or str(error)) from error
