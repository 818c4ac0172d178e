"""The commit that brought an image: the first that has it in its lock. The lock of a build is committed after the
build."""

from __future__ import annotations

import re
import subprocess
from contextlib import ExitStack

from envbuild.git.program import running
from envbuild.git.repository import Repository

_IMAGE = re.compile(rb"\+[+ ]*(?:  - [a-z0-9-]+ image |image: sha256:)([0-9a-f]{64})\b")
"""A line that was added and names an image, in locks of now and of version 1 and 2."""
_COMMIT = b"commit "
_SECONDS = 600.0
_MAX_LINE = 1 << 16
# Contents as they are, whatever the repository's attributes say about them.
# Of a merge, what it has from none of its parents.
_DIFF = (
    "diff-tree",
    "--stdin",
    "--root",
    "-p",
    "--cc",
    "-U0",
    "--text",
    "--no-textconv",
    "--no-ext-diff",
    "--no-color",
)


class LockCommits:
    """The commits of one lock, newest first, read from git only as far as they are needed."""

    def __init__(self, repository: Repository, path: str) -> None:
        """Read nothing yet. `path` is the lock's path in the repository."""
        self._root = repository.root
        self._path = path
        self._known: dict[str, str] = {}
        self._all: dict[str, list[str]] = {}
        self._held = ExitStack()
        self._child: subprocess.Popen[bytes] | None = None
        self._done = False
        self._commit = ""

    def of(self, image: str) -> str | None:
        """Return the oldest commit read so far that brought this image into the lock, None if none did."""
        if self._child is None and not self._done:
            self._start()
        while image not in self._known and not self._done:
            self._read()
        return self._known.get(image)

    def all_of(self, image: str) -> list[str]:
        """Return all commits that brought this image into the lock, the newest first."""
        self.of("")
        return self._all.get(image, [])

    def close(self) -> None:
        """End git if it still runs."""
        self._held.close()
        self._child = None
        self._done = True

    def _start(self) -> None:
        """Start a git that lists the lock's commits, and one that prints what each changed."""
        revisions = self._held.enter_context(
            running(self._root, ("rev-list", "--all", "--full-history", "--", self._path), seconds=_SECONDS)
        )
        assert revisions.stdout is not None
        words = (*_DIFF, "--format=commit %H", "--", self._path)
        self._child = self._held.enter_context(
            running(self._root, words, stdin=revisions.stdout.fileno(), seconds=_SECONDS)
        )

    def _read(self) -> None:
        assert self._child is not None
        assert self._child.stdout is not None
        line = self._child.stdout.readline(_MAX_LINE)
        if not line:
            self.close()
        elif line.startswith(_COMMIT):
            self._commit = line[len(_COMMIT) :].decode("ascii", "replace").strip()
        elif line.startswith(b"+") and (match := _IMAGE.match(line)):
            image = match[1].decode("ascii")
            self._known[image] = self._commit
            self._all.setdefault(image, []).append(self._commit)
