"""The tags of branches that git no longer has: nobody will build in them again, and `gc` removes them."""

from __future__ import annotations

import os

from envbuild.errors import EnvbuildError
from envbuild.git.git_dir import branch_of
from envbuild.git.repository import Repository
from envbuild.store.branch_tags import is_branch_tag
from envbuild.store.project import Project, split_project
from envbuild.store.store import Store
from envbuild.store.tags import BUILD, Tag

_LOCAL, _REMOTE = "refs/heads/", "refs/remotes/"


def tags_of_deleted_branches(store: Store) -> list[Tag]:
    """Return the tags of branches that no repository in which they were built has any more, also not as a branch of a
    remote. A repository that is gone or can't be read says nothing: the tag stays."""
    branches: dict[str, set[str] | None] = {}
    deleted = []
    for tag in store.tags.all():
        if not is_branch_tag(tag.tag) or tag.immutable:
            continue
        builds = [move.known for move in store.tags.history(tag.name, tag.tag) if move.action == BUILD]
        project = store.projects.get(split_project(tag.name)[0])
        places = {(_repository(str(known.get("root", "")), project), str(known.get("branch", ""))) for known in builds}
        for root, _ in places:
            if root not in branches:
                branches[root] = _branches(root)
        if places and all(_is_deleted(branches[root], branch) for root, branch in places):
            deleted.append(tag)
    return deleted


def _repository(root: str, project: Project | None) -> str:
    """Return the working tree of a build, or the directory of its project where that worktree was removed."""
    return project.path if project is not None and not os.path.isdir(root) else root


def _is_deleted(known: set[str] | None, branch: str) -> bool:
    return known is not None and bool(branch) and branch not in known


def _branches(root: str) -> set[str] | None:
    """Return the branches of a repository and of its remotes; None if that can't be told."""
    if not root or not os.path.isdir(root):
        return None
    try:
        listed = Repository(root).run("for-each-ref", "--format=%(refname)", _LOCAL, _REMOTE)
    except (EnvbuildError, OSError):
        return None
    names = {branch_of(root) or ""}  # one without a commit has no ref
    for name in listed.splitlines():
        if name.startswith(_LOCAL):
            names.add(name.removeprefix(_LOCAL))
        else:
            names.add(name.removeprefix(_REMOTE).partition("/")[2])
    return names
