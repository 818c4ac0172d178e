"""Where in git's history a file's folder stands, for the record of a build."""

from __future__ import annotations

import os

from envbuild.git.head import branch_of, repository_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def provenance(path: str) -> dict[str, Any]:
    """`commit`, `branch` and `dirty` of the repository that a recipe lies in, and `file`, its path below
    `root`.

    Empty where there is no repository or no git, or where git refuses: a build does not fail for that.
    """
    folder = os.path.dirname(os.path.abspath(path))
    if repository_of(folder) is None:
        return {}
    from envbuild.errors import EnvbuildError
    from envbuild.git.repository import NoSuchRevision, Repository  # subprocess: only where something is put on record

    try:
        repository = Repository(folder)
        found: dict[str, Any] = {
            "file": repository.path_of(path),
            "root": repository.root,
            "dirty": not repository.is_clean("."),
        }
    except (EnvbuildError, OSError):
        return {}
    try:
        found["commit"] = repository.commit_of("HEAD")
    except NoSuchRevision:
        found["dirty"] = True  # nothing is committed yet
    branch = branch_of(folder)
    return {**found, "branch": branch} if branch else found
