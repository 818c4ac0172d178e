"""Where in git's history a file's folder stands, for the record of a build."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from envbuild.git.git_dir import branch_of, repository_of
from envbuild.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Provenance(Record):
    """`known` has `commit`, `branch` and `dirty` of the repository that a recipe lies in, and `file`, its path below
    `root`; it is empty where there is no repository or no git, or where git refuses: a build does not fail for that.

    `converted` are files that count as changed because git's filters are not run, with what attributes say of them.
    """

    known: dict[str, Any]
    converted: tuple[tuple[str, str], ...] = ()


def provenance(path: str, read: Iterable[str], folders: Sequence[str]) -> Provenance:
    """What is known of the build of the recipe at `path`, which read these files (real and absolute) and took what
    it copied from these folders. It is `dirty` if one of them is not as the commit has it."""
    folder = os.path.dirname(os.path.abspath(path))
    if repository_of(folder) is None:
        return Provenance({})
    from envbuild.errors import EnvbuildError
    from envbuild.git.repository import NoSuchRevision, Repository  # subprocess: only where something is put on record
    from envbuild.git.working_files import changed_files

    converted: tuple[tuple[str, str], ...] = ()
    try:
        repository = Repository(folder)
        found: dict[str, Any] = {"file": repository.path_of(path), "root": repository.root, "dirty": True}
        try:
            found["commit"] = repository.commit_of("HEAD")
            changed = list(changed_files(repository, read, folders))
            found["dirty"] = bool(changed)
            if all(one.converted for one in changed):
                converted = tuple((one.path, one.converted) for one in changed)
        except NoSuchRevision:
            pass  # nothing is committed yet
    except (EnvbuildError, OSError):
        return Provenance({})
    branch = branch_of(folder)
    return Provenance({**found, "branch": branch} if branch else found, converted)
