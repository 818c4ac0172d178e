"""The commits of git repositories that a recipe fetches: which one each archive in the store is made of."""

from __future__ import annotations

from collections.abc import Mapping

from envbuild.archive.tar_writer import comment_of
from envbuild.build.fetch import content_of, has_content
from envbuild.git.remote import TAG
from envbuild.language.git_address import git_address, is_commit, is_git
from envbuild.lockfile.lock import TAGGED, Lock, commit_id
from envbuild.record import Pairs
from envbuild.store.store import Store
from envbuild.tree.entry import Digest


def commits_of(store: Store, lock: Lock | None, fetched: Mapping[str, Digest], kinds: Mapping[str, str]) -> Pairs:
    """Return the commit of each fetched archive whose address names a branch or a tag, as a lock pins it. `lock` is
    that of before, `kinds` what the names turned out to be where somebody was asked."""
    before = dict(lock.own.commits) if lock is not None else {}
    commits = []
    for url, digest in sorted(fetched.items()):
        if is_git(url) and not git_address(url).commit:
            commit = commit_of(store, lock, url, digest)
            if commit:
                is_tag = kinds[url] == TAG if kinds.get(url) else before.get(url, "").startswith(TAGGED)
                commits.append((url, f"{TAGGED}{commit}" if is_tag else commit))
    return tuple(commits)


def commit_of(store: Store, lock: Lock | None, url: str, digest: Digest) -> str:
    """Return the commit that an archive of this sha256 is made of, "" where nobody knows any more."""
    if not is_git(url):
        return ""
    comment = comment_of(content_of(store, digest)) if has_content(store, digest) else ""
    if is_commit(comment):
        return comment
    own = lock.own if lock is not None else None
    return commit_id(dict(own.commits).get(url, "")) if own is not None and (url, digest) in own.fetched else ""
