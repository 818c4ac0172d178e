"""How the steps of a build get what they fetch: a file of an address, or a commit of a repository."""

from __future__ import annotations

from envbuild.build.fetch import fetch
from envbuild.build.file_sources import FileSources
from envbuild.build.job import BuildJob
from envbuild.build.step_failure import Stopped
from envbuild.tree.entry import Digest


class Downloads:
    """Downloads for one build. It notes which addresses led elsewhere, and what names of commits turned out to be."""

    def __init__(self, job: BuildJob, files: FileSources) -> None:
        self._job = job
        self._files = files

    def __call__(self, url: str, expected: Digest | None, source: str, commit: str) -> Digest:
        """Return the digest of what lies at `url`. Raises Stopped, and what `fetch` and `fetch_git` raise."""
        from envbuild.language.git_address import is_git  # only where something is fetched

        if is_git(url):
            return self._commit(url, expected, source, commit)
        store, limit = self._job.store, self._job.request.fetch_limit
        digest, redirected = fetch(store, url, expected, source, lambda done, total: None, limit, self._files)
        if redirected:
            self._job.sources.redirects[url] = redirected
        return digest

    def _commit(self, url: str, expected: Digest | None, source: str, commit: str) -> Digest:
        from envbuild.build.fetch_git import fetch_git  # git, only where a commit is fetched
        from envbuild.git.network_program import StoppedByOthers

        store, limit = self._job.store, self._job.request.fetch_limit
        try:
            fetched = fetch_git(store, url, expected, commit, source, limit, self._files)
        except StoppedByOthers:
            raise Stopped from None
        self._job.sources.ref_kinds[url] = fetched.kind
        if fetched.redirected:
            self._job.sources.redirects[url] = fetched.redirected
        return fetched.digest
