"""What git prints of a repository that somebody else made."""

from __future__ import annotations

from envbuild.git.commit_of_image import LockCommits
from envbuild.git.repository import author_of
from envbuild.git.tracked_files import files_of_index, files_of_tree
from tests.fuzz.target import Target


class _Repository:
    root = "."


class _Git:
    """A git that prints and ends."""

    def __init__(self, said: bytes) -> None:
        self._lines = iter(said.splitlines(keepends=True))
        self.stdout = self

    def readline(self, size: int = -1) -> bytes:
        return next(self._lines, b"")

    def kill(self) -> None:
        pass

    def communicate(self) -> None:
        pass


def read_blame(data: bytes) -> None:
    author = author_of(data)
    assert author is None or (author.commit and "\n" not in author.name + author.summary)


def read_log(data: bytes) -> None:
    commits = LockCommits(_Repository(), "web.env.lock")  # type: ignore[arg-type]
    commits._child = _Git(data)  # type: ignore[assignment]
    commits.of("0" * 64)


def read_tree(data: bytes) -> None:
    for file in files_of_tree(data):
        assert not file.path.startswith("/")
        assert ".." not in file.path.split("/")


def read_index(data: bytes) -> None:
    for file in files_of_index(data):
        assert 0 <= file.stage <= 3


_LISTED = (
    b"100644 ",
    b"120000 ",
    b"160000 ",
    b"blob ",
    b"\t",
    b"\0",
    b"../",
    b".git/",
    b" ctime: 1:2\n mtime: 3:4\n",
    b"flags: 0\n",
)
TARGETS = (
    Target("git-tree", read_tree, tokens=_LISTED),
    Target("git-index", read_index, tokens=_LISTED),
    Target("git-blame", read_blame, (), (b"author ", b"author-time ", b"summary ", b"\n\t", b"\0", "\u2028".encode())),
    Target("git-log", read_log, (), (b"commit ", b"+image: sha256:", b"\n")),
)
