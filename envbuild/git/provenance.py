"""The commit, branch and state of the working tree that a recipe lies in, for the record of a build."""

from __future__ import annotations

import os

from envbuild.git.git_dir import branch_of, git_dir_of
from envbuild.record import Pairs, Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any


class Provenance(Record):
    """The origin of a recipe. `known` has `commit`, `branch` and `dirty` of its repository, and `file`, its path below
    `root`. It is empty without a repository or git, and where git refuses: a build does not fail for that.

    `converted` are files that count as changed because git's filters are not run, each with its attributes.
    """

    known: dict[str, Any]
    converted: Pairs = ()


def provenance(path: str, read: Iterable[str], folders: Sequence[str]) -> Provenance:
    """Return the provenance of a build of the recipe at `path`. The build read the files `read` (real and absolute) and
    copied from `folders`. It is `dirty` if one of these files differs from the commit."""
    folder = os.path.dirname(os.path.abspath(path))
    if git_dir_of(folder) is None:
        return Provenance({})
    from envbuild.errors import EnvbuildError
    from envbuild.git.repository import NoSuchRevision, Repository  # subprocess: only where something is put on record
    from envbuild.git.working_files import changed_files

    converted: Pairs = ()
    try:
        repository = Repository(folder)
        known: dict[str, Any] = {"file": repository.path_of(path), "root": repository.root, "dirty": True}
        try:
            known["commit"] = repository.commit_of("HEAD")
            changed = list(changed_files(repository, read, folders))
            known["dirty"] = bool(changed)
            if all(file.converted for file in changed):
                converted = tuple((file.path, file.converted) for file in changed)
        except NoSuchRevision:
            pass  # nothing is committed yet
    except (EnvbuildError, OSError):
        return Provenance({})
    branch = branch_of(folder)
    return Provenance({**known, "branch": branch} if branch else known, converted)
