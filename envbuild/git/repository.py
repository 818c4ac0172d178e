"""A git repository, as far as envbuild reads it. Nothing here changes one, or checks anything out."""

from __future__ import annotations

import os
import subprocess

from envbuild.errors import MachineLacks, UsageError
from envbuild.record import Record

SAFELY = ("--no-optional-locks", "-c", "core.fsmonitor=false")
"""Looking at a repository neither writes its index nor starts the program that its configuration may name for that."""


class NoRepository(UsageError):
    """A folder that lies in no git repository."""

    def __init__(self, folder: str) -> None:
        super().__init__(
            f"{os.path.abspath(folder)} is in no git repository", "go to a folder of the recipe's repository"
        )


class NoSuchRevision(UsageError):
    """git does not know a revision."""

    def __init__(self, revision: str) -> None:
        super().__init__(
            f"git knows no revision '{revision}' here",
            "name a branch, a tag or a commit; `git fetch` gets those of others",
        )


class NotInRevision(UsageError):
    """A revision doesn't have a file."""

    def __init__(self, revision: str, path: str) -> None:
        super().__init__(f"{revision} has no file {path}", f"see what it has: git ls-tree -r --name-only {revision}")


class GitFailed(UsageError):
    """git said no; its own words say why."""

    def __init__(self, words: tuple[str, ...], said: str) -> None:
        super().__init__(f"git {' '.join(words[:2])} failed: {said.strip()}", "see what git says of it: git status")


class NothingInCommon(UsageError):
    """Two commits have no common beginning, as far as the clone reaches."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(
            f"{one[:12]} and {other[:12]} have no commit in common here",
            "a clone of CI may be shallow: git fetch --unshallow, or fetch-depth: 0",
        )


class NoGit(MachineLacks):
    """There is no git."""

    def __init__(self) -> None:
        super().__init__("git is not installed", "install it: apt install git")


class Author(Record):
    """Who last changed a line: the commit's hash, the author, the time (seconds since 1970) and its first line."""

    commit: str
    name: str
    time: int
    summary: str


class Repository:
    """The repository that a folder lies in."""

    def __init__(self, folder: str) -> None:
        """Raises NoRepository and NoGit."""
        self.folder = folder or "."
        try:
            self.root = self._git("rev-parse", "--show-toplevel").decode("utf-8", "surrogateescape").rstrip("\n")
        except GitFailed as error:
            if os.path.isdir(self.folder) and "not a git repository" not in error.message:
                raise
            raise NoRepository(self.folder) from error

    def commit_of(self, revision: str) -> str:
        """The full hash of the commit that `revision` means. Raises NoSuchRevision."""
        try:
            found = self._git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        except GitFailed as error:
            raise NoSuchRevision(revision) from error
        return found.decode().strip()

    def merge_base(self, one: str, other: str) -> str:
        """The commit where two commits part. Raises NothingInCommon."""
        try:
            return self._git("merge-base", one, other).decode().strip()
        except GitFailed as error:
            raise NothingInCommon(one, other) from error

    def path_of(self, path: str) -> str:
        """A path, relative to the working directory or absolute, as the repository has it. Raises NoRepository."""
        # The parent and not the file, which may be a link or only in another revision.
        folder, name = os.path.split(os.path.abspath(path))
        found = os.path.relpath(os.path.join(os.path.realpath(folder), name), os.path.realpath(self.root))
        if found.startswith(".."):
            raise NoRepository(folder)
        return found

    def read(self, revision: str, path: str, shown: str | None = None) -> bytes:
        """A file as a revision has it; `path` as `path_of` gives it, `shown` what the user called the revision.

        Raises NoSuchRevision and NotInRevision.
        """
        commit = self.commit_of(revision)
        try:
            return self._git("cat-file", "blob", f"{commit}:{path}")
        except GitFailed as error:
            raise NotInRevision(shown or revision, path) from error

    def files(self, revision: str, ending: str = "") -> list[str]:
        """The paths of a revision's files that end so. Raises NoSuchRevision."""
        listed = self._git("ls-tree", "-r", "-z", "--name-only", "--full-tree", self.commit_of(revision))
        names = listed.decode("utf-8", "surrogateescape").split("\0")
        return [name for name in names if name and name.endswith(ending)]

    def changed(self, one: str, other: str) -> list[str]:
        """The paths of the files that differ between two commits, renames as both."""
        listed = self._git("diff", "--name-only", "--no-renames", "-z", one, other)
        return [name for name in listed.decode("utf-8", "surrogateescape").split("\0") if name]

    def is_clean(self, folder: str) -> bool:
        """Whether a folder of the working tree is as its commit has it, its locks aside."""
        words = ("status", "--porcelain", "--untracked-files=normal", "--", folder, ":(exclude,glob)**/*.env.lock")
        return not self._git(*words).strip()

    def blame(self, commit: str, path: str, line: int) -> Author | None:
        """Who last changed a line (from 1) of a file as a commit has it; None if it has no such line."""
        try:
            said = self._git("blame", "--porcelain", "-L", f"{line},{line}", commit, "--", path)
        except GitFailed:
            return None
        return author_of(said)

    def git_path(self, name: str) -> str:
        """Where git keeps something of its own, such as info/attributes."""
        found = self._git("rev-parse", "--git-path", name).decode("utf-8", "surrogateescape").rstrip("\n")
        return os.path.join(self.folder, found)

    def run(self, *words: str) -> str:
        """What a git command prints. Raises GitFailed."""
        return self._git(*words).decode("utf-8", "replace")

    def run_at_root(self, *words: str, index: str | None = None) -> str:
        """The same, where the working tree begins: for what counts paths from there. `index` is the file of another
        index than the user's."""
        return self._git("-C", self.root, *words, index=index).decode("utf-8", "replace")

    def _git(self, *words: str, index: str | None = None) -> bytes:
        environment = None if index is None else {**os.environb, b"GIT_INDEX_FILE": os.fsencode(index)}
        try:
            done = subprocess.run(
                ["git", *SAFELY, "-C", self.folder, *words],
                stdin=subprocess.DEVNULL,
                env=environment,
                capture_output=True,
                check=False,
            )
        except FileNotFoundError:
            raise NoGit from None
        if done.returncode:
            raise GitFailed(words, done.stderr.decode("utf-8", "replace"))
        return done.stdout


def author_of(said: bytes) -> Author | None:
    """Who wrote a line, from what `git blame --porcelain` says of it; None if that says nothing of an author.

    Names and messages are the author's own: only a line feed ends them, and not what else ends a line for Python.
    """
    lines = said.decode("utf-8", "replace").split("\n")
    fields: dict[str, str] = {}
    for line in lines[1:]:
        name, space, value = line.partition(" ")
        if space and not line.startswith("\t"):
            fields.setdefault(name, value)
    commit, moment = lines[0].partition(" ")[0], fields.get("author-time", "")
    if not commit or "author" not in fields or not moment.isascii() or not moment.isdigit() or len(moment) > 15:
        return None
    return Author(commit, fields["author"], int(moment), fields.get("summary", ""))
