"""The git commit of a build: the one that it was built from, or the later one that has its lock."""

from __future__ import annotations

import os
from types import TracebackType

from envbuild.errors import EnvbuildError
from envbuild.lockfile.lock import path_of
from envbuild.store.store import Store
from envbuild.store.tags import BUILD, HistoryEntry
from envbuild.tree.entry import Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from envbuild.git.commit_of_image import LockCommits
    from envbuild.git.repository import Repository


def build_of(store: Store, image: Digest, lock: str = "") -> HistoryEntry | None:
    """Return the last build in a repository that made this image; of several recipes that made it, of the one with the
    lock of this name, if that is among them."""
    moves = [move for move in store.tags.moves_to(image) if move.action == BUILD and "file" in move.known]
    of_lock = (move for move in moves if os.path.basename(path_of(str(move.known["file"]))) == os.path.basename(lock))
    return next(of_lock, next(iter(moves), None))


class BuildCommits:
    """A finder of commits in the repositories of builds, if these still exist. Use it as a context manager."""

    def __init__(self) -> None:
        self._locks: dict[tuple[str, str], LockCommits | None] = {}
        self._repositories: dict[str, Repository | None] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for commits in self._locks.values():
            if commits is not None:
                commits.close()

    def of(self, build: HistoryEntry) -> tuple[str, bool]:
        """Return (commit, whether it has the recipe as it was built); ("", False) without a repository.

        For a build from uncommitted changes, it is the commit whose lock has the image, if there is one.
        """
        known = build.known
        if not known.get("file"):
            return "", False
        if not known.get("dirty"):
            return str(known.get("commit", "")), True
        locks = self._locks_of(known.get("root", ""), known["file"])
        later = locks.of(build.image or "") if locks is not None else None
        return (later, True) if later else (str(known.get("commit", "")), False)

    def of_lock(self, build: HistoryEntry) -> str:
        """Return the first commit whose lock has the image of a build, "" if none has it."""
        locks = self._locks_of(build.known.get("root", ""), build.known["file"])
        return (locks.of(build.image or "") if locks is not None else None) or ""

    def repository(self, root: str) -> Repository | None:
        """Return the repository of a build, or the current one if that is gone."""
        if root not in self._repositories:
            from envbuild.git.repository import Repository  # subprocess: only if git is needed

            try:
                self._repositories[root] = Repository(root if os.path.isdir(root) else ".")
            except (EnvbuildError, OSError):
                self._repositories[root] = None
        return self._repositories[root]

    def _locks_of(self, root: str, file: str) -> LockCommits | None:
        key = (root, file)
        if key not in self._locks:
            from envbuild.git.commit_of_image import LockCommits

            repository = self.repository(root)
            self._locks[key] = LockCommits(repository, path_of(file)) if repository is not None else None
        return self._locks[key]
