"""A repository of somewhere else, of which one commit is taken: which one a name means, and its objects."""

from __future__ import annotations

import os

from envbuild.errors import UsageError, WorkFailed, fields
from envbuild.git.network_program import Allowed, ServerRefused, TooMuchOfGit, ask
from envbuild.git.program import GitFailed, output
from envbuild.language.git_address import is_commit
from envbuild.record import Record

BRANCH, TAG, DEFAULT = "branch", "tag", "default branch"
_FETCH = ("fetch", "--progress", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head")
_NOT_BY_ID = ("not our ref", "unadvertised object", "shallow", "expected old/new/ref", "remote ref")
"""What git says where a server gives no commit by its id alone: an old one, and one that serves plain files."""


@fields
class NoSuchRef(WorkFailed):
    """A repository has no branch and no tag of a name."""

    url: str
    ref: str

    def text(self) -> tuple[str, str]:
        digits = self.ref.strip("0123456789abcdef") == "" and len(self.ref) >= 7
        return (
            f"fetch: {self.url} has no branch or tag '{self.ref}'",
            f"a commit is named by all of its 40 digits: git rev-parse {self.ref}"
            if digits
            else f"see what it has: git ls-remote {self.url}",
        )


@fields
class AmbiguousRef(UsageError):
    """A repository has a branch and a tag of one name, at different commits."""

    url: str
    ref: str

    def text(self) -> tuple[str, str]:
        return (
            f"fetch: {self.url} has both a branch and a tag '{self.ref}'",
            f"say which: @refs/heads/{self.ref} or @refs/tags/{self.ref}",
        )


@fields
class NoSuchCommit(WorkFailed):
    """A repository does not have a commit, or gives it to nobody."""

    url: str
    commit: str

    def text(self) -> tuple[str, str]:
        return (
            f"fetch: {self.url} does not give the commit {self.commit}",
            "somebody may have rewritten the branch that had it: take it from a place or a vendored directory, or "
            "renew the lock: envbuild update",
        )


class Resolved(Record):
    """The commit that a name means, and what the name is: a branch, a tag or the default branch."""

    commit: str
    kind: str


def resolve(url: str, ref: str, allowed: Allowed) -> Resolved:
    """Return the commit that a branch or a tag means now. Raises NoSuchRef, AmbiguousRef and what `ask` does."""
    ref = "" if ref == "HEAD" else ref
    named = ["HEAD"] if not ref else [ref] if ref.startswith("refs/") else [f"refs/heads/{ref}", f"refs/tags/{ref}"]
    patterns = [pattern for name in named for pattern in (name, f"{name}^{{}}")]
    lines = ask(url, ("ls-remote", "--quiet", "--end-of-options", url, *patterns), allowed).splitlines()
    objects: dict[str, str] = {}
    for line in lines:
        oid, _, name = line.decode("utf-8", "surrogateescape").partition("\t")
        if name in patterns and is_commit(oid):
            objects[name] = oid
    # An annotated tag is an object of its own; `^{}` is the commit that it marks.
    commits = {name: objects.get(f"{name}^{{}}", objects[name]) for name in named if name in objects}
    if not commits:
        raise NoSuchRef(url, ref or "HEAD")
    if len(set(commits.values())) > 1:
        raise AmbiguousRef(url, ref)
    name = next(iter(commits))
    kind = DEFAULT if not ref else TAG if f"refs/tags/{ref}" in commits or name.startswith("refs/tags/") else BRANCH
    return Resolved(commits[name], kind)


def gives(url: str, commit: str, folder: str, allowed: Allowed) -> None:
    """Ask whether a server gives a commit, and take as little of it as it lets us; `folder` does not exist yet. Raises
    NoSuchCommit and what `ask` does. What only its whole history would tell counts as there."""
    _make(folder, commit)
    try:
        ask(url, (*_FETCH, "--depth=1", "--filter=tree:0", "--end-of-options", url, commit), allowed, folder)
    except TooMuchOfGit:
        return  # a server that sends all of it
    except ServerRefused as error:
        if "not our ref" in error.reason:
            raise NoSuchCommit(url, commit) from None
        if not any(words in error.reason for words in _NOT_BY_ID):
            raise


def _make(folder: str, commit: str) -> None:
    os.makedirs(folder)
    kind = "sha256" if len(commit) == 64 else "sha1"
    output(folder, "init", "--quiet", "--template=", f"--object-format={kind}")


def bring(url: str, commit: str, folder: str, allowed: Allowed) -> None:
    """Make a repository in `folder` with the objects of one commit, and with its history only where the server gives
    no commit alone. Raises NoSuchCommit and what `ask` does."""
    _make(folder, commit)
    try:
        ask(url, (*_FETCH, "--depth=1", "--end-of-options", url, commit), allowed, folder)
    except ServerRefused as error:
        if not any(words in error.reason for words in _NOT_BY_ID):
            raise
        everything = ("+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*")
        ask(url, (*_FETCH, "--end-of-options", url, *everything), allowed, folder)
    try:
        output(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{commit}}")
    except GitFailed:
        raise NoSuchCommit(url, commit) from None
