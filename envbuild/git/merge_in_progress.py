"""The merge that git is in the middle of, or else the one that HEAD is: the commits whose changes come together.

git keeps what it is about to do in files of the working tree's own git directory (gitrevisions(7): MERGE_HEAD,
CHERRY_PICK_HEAD, REVERT_HEAD, REBASE_HEAD). They are read here and not by `git rev-parse`, which would wait for a FIFO,
and of several heads takes the first.
"""

from __future__ import annotations

import os

from envbuild.errors import UsageError, fields
from envbuild.git.program import GitFailed
from envbuild.git.repository import NothingInCommon, Repository
from envbuild.linux.nofollow import read_plain
from envbuild.record import Record
from envbuild.text.pattern import Pattern

MERGE, CHERRY_PICK, REVERT, REBASE, COMMIT = "merge", "cherry-pick", "revert", "rebase", "merge commit"
_MAX_BYTES = 1 << 16
_COMMIT = Pattern(r"(?:[0-9a-f]{40}|[0-9a-f]{64})")


class GitMerge(Record):
    """Three commits, by their full hashes: what `theirs` changed since `base` is put on `ours`.

    `kind` is one of the words above, and COMMIT for a merge that is done: then HEAD is its commit. `bases` is the
    number of best common ancestors, of which `base` is one: more than one after merges to and fro (git-merge-base(1)).
    """

    kind: str
    base: str
    ours: str
    theirs: str
    bases: int = 1

    @property
    def in_progress(self) -> bool:
        """Whether git still waits for its commit."""
        return self.kind != COMMIT


@fields
class NoMergeInProgress(UsageError):
    """git is in the middle of nothing, and HEAD is no merge."""

    root: str

    def text(self) -> tuple[str, str]:
        return (
            f"no merge is in progress in {self.root}, and HEAD is none",
            "begin with `git merge BRANCH`; or merge three images: envbuild merge BASE OURS THEIRS",
        )


@fields
class ManyHeads(UsageError):
    """A merge of more than two branches, or of a merge without saying which of its parents counts."""

    kind: str
    number: int

    def text(self) -> tuple[str, str]:
        return (
            f"the {self.kind} has {self.number} other sides, and images are merged two at a time",
            "merge the branches one after the other; or name three images: envbuild merge BASE OURS THEIRS",
        )


@fields
class OddHead(UsageError):
    """A file in which git names a commit is not as git writes it."""

    path: str
    reason: str

    def text(self) -> tuple[str, str]:
        return f"{self.path}: {self.reason}", "git writes it as one hash a line; see git status"


def merge_in_progress(repository: Repository) -> GitMerge:
    """Return the merge, cherry-pick, revert or rebase that git is in the middle of, else the merge that HEAD is.

    Raises NoMergeInProgress, ManyHeads, OddHead, NoSuchRevision and NothingInCommon.
    """
    if heads := _heads(repository, "MERGE_HEAD"):
        if len(heads) > 1:
            raise ManyHeads(MERGE, len(heads))
        return _merge(repository, MERGE, repository.commit_of("HEAD"), heads[0])
    rebases = any(os.path.isdir(f"{repository.git_dir}/{name}") for name in ("rebase-merge", "rebase-apply"))
    if picked := _heads(repository, "CHERRY_PICK_HEAD"):
        return _picked(repository, REBASE if rebases else CHERRY_PICK, picked[0])
    if reverted := _heads(repository, "REVERT_HEAD"):
        merge = _picked(repository, REVERT, reverted[0])
        return merge.replace(base=merge.theirs, theirs=merge.base)
    if rebases and (stopped := _heads(repository, "REBASE_HEAD")):
        return _picked(repository, REBASE, stopped[0])
    _, *parents = _with_parents(repository, repository.commit_of("HEAD"))
    if len(parents) < 2:
        raise NoMergeInProgress(repository.root)
    if len(parents) > 2:
        raise ManyHeads(MERGE, len(parents) - 1)
    return _merge(repository, COMMIT, *parents)


def _merge(repository: Repository, kind: str, ours: str, theirs: str) -> GitMerge:
    try:
        bases = repository.run("merge-base", "--all", ours, theirs).split()
    except GitFailed as error:
        raise NothingInCommon(ours, theirs) from error
    return GitMerge(kind, bases[0], ours, theirs, len(bases))


def _picked(repository: Repository, kind: str, head: str) -> GitMerge:
    commit, *parents = _with_parents(repository, head)
    if not parents:
        raise NothingInCommon(commit, "HEAD")
    if len(parents) > 1:
        raise ManyHeads(f"{kind} of a merge", len(parents))
    return GitMerge(kind, parents[0], repository.commit_of("HEAD"), commit)


def _with_parents(repository: Repository, commit: str) -> list[str]:
    """Return a commit and its parents."""
    return repository.run("rev-list", "--parents", "--max-count=1", commit).split()


def _heads(repository: Repository, name: str) -> list[str]:
    """Return the commits that a file of the git directory names, none if there is no such file."""
    path = f"{repository.git_dir}/{name}"
    if not os.path.lexists(path):
        return []
    try:
        lines = read_plain(path, _MAX_BYTES).decode("ascii", "replace").splitlines()
    except OSError as error:
        raise OddHead(path, error.strerror or str(error)) from error
    if not lines or not all(_COMMIT.fullmatch(line) for line in lines):
        raise OddHead(path, "it does not name a commit")
    return [repository.commit_of(line) for line in lines]
