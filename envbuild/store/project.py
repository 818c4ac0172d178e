"""Projects: the git repositories whose names of images are apart from those of others.

A name of a project is kept as `PROJECT/NAME`, with an id for PROJECT that no other project has; one outside of all
projects is kept as it is. The id begins with the name of the repository's directory, as far as a name of an image may
hold it, so that people need no digits.
"""

from __future__ import annotations

import os

from envbuild.digest import sha256_of
from envbuild.record import Record
from envbuild.store.branch_tags import ALPHANUMERIC

DIGITS = 16
"""Digits at the end of an id: of the digest of the repository's path."""
_MAX_NAME = 40
_ALLOWED = ALPHANUMERIC + "_-"
"""No dot: a name with one before its slash stays free for hosts of registries."""


class Project(Record):
    """A project: its id and the path of its repository's directory."""

    id: str
    path: str


def project_at(path: str) -> Project:
    """Return the project of the repository at a real path."""
    digits = sha256_of(os.fsencode(path))[:DIGITS]
    name = os.path.basename(path).removesuffix(".git")
    plain = "".join(letter if letter in _ALLOWED else "-" for letter in name).lstrip("_-")[:_MAX_NAME].rstrip("_-")
    return Project(f"{plain or 'project'}-{digits}", path)


def split_project(name: str) -> tuple[str, str]:
    """Return the id of its project ("" outside of all) and the rest of a name as it is kept, with or without its
    tag."""
    before, slash, rest = name.partition("/")
    # `web:branch/main` is a tag of a branch, and `web@feature/x` a revision: neither names a project.
    return (before, rest) if slash and ":" not in before and "@" not in before else ("", name)
