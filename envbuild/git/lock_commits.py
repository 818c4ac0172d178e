"""Which commit brought an image: the first that has it in its lock. What a build wrote is committed after it."""

from __future__ import annotations

import subprocess

from envbuild.git.repository import SAFELY, Repository

_IMAGE = b"+image: sha256:"
_COMMIT = b"commit "


class LockCommits:
    """The commits of one lock, read from git as far as they are asked for, the newest first."""

    def __init__(self, repository: Repository, path: str) -> None:
        """`path` is the lock's, as the repository has it."""
        self._words = ["git", *SAFELY, "-C", repository.root, "log", "--format=commit %H", "-p", "-U0", "--no-textconv"]
        self._words += ["--no-color", "--no-ext-diff", "--all", "--", path]
        self._known: dict[str, str] = {}
        self._child: subprocess.Popen[bytes] | None = None
        self._done = False
        self._commit = ""

    def of(self, image: str) -> str | None:
        """The oldest commit known so far that brought this image into the lock, None if none did."""
        if self._child is None and not self._done:
            self._child = subprocess.Popen(self._words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        while image not in self._known and not self._done:
            self._read()
        return self._known.get(image)

    def close(self) -> None:
        """Ends git, if it has not come to its end."""
        if self._child is not None:
            self._child.kill()
            self._child.communicate()
            self._child = None
            self._done = True

    def _read(self) -> None:
        assert self._child is not None
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            self.close()
        elif line.startswith(_COMMIT):
            self._commit = line[len(_COMMIT) :].decode("ascii", "replace").strip()
        elif line.startswith(_IMAGE):
            self._known[line[len(_IMAGE) :].decode("ascii", "replace").strip()] = self._commit
