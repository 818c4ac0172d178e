"""What git prints of a repository that somebody else made."""

from __future__ import annotations

from envbuild.errors import EnvbuildError
from envbuild.git.lock_commits import LockCommits
from envbuild.git.repository import Repository
from tests.fuzz.target import Target


class _Git(Repository):
    """A repository of which git says the same to every question."""

    def __init__(self, said: bytes) -> None:
        self.folder = self.root = "."
        self._said = said

    def _git(self, *words: str, index: str | None = None) -> bytes:
        return self._said


class _Lines:
    """A git that prints and ends."""

    def __init__(self, said: bytes) -> None:
        self._lines = iter(said.splitlines(keepends=True))
        self.stdout = self

    def readline(self) -> bytes:
        return next(self._lines, b"")

    def kill(self) -> None:
        pass

    def communicate(self) -> None:
        pass


def read_git(data: bytes) -> None:
    git = _Git(data)
    git.blame("HEAD", "web.env", 1)
    git.files("HEAD", ".env.lock")
    git.changed("a", "b")
    git.commit_of("HEAD")
    git.git_path("info/attributes")
    git.is_clean(".")


def read_log(data: bytes) -> None:
    commits = LockCommits(_Git(b""), "web.env.lock")
    commits._child = _Lines(data)  # type: ignore[assignment]
    commits.of("0" * 64)


TARGETS = (
    Target("git", read_git, (EnvbuildError,), (b"author ", b"author-time ", b"summary ", b"\n\t", b"\0", b"filename ")),
    Target("git-log", read_log, (EnvbuildError,), (b"commit ", b"+image: sha256:", b"\n")),
)
