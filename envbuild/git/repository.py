"""A git repository, as far as envbuild reads it. Nothing here changes one, or checks anything out."""

from __future__ import annotations

import os
from collections.abc import Sequence

from envbuild.errors import UsageError
from envbuild.git.blobs import Blobs, BlobTooLarge
from envbuild.git.git_dir import repository_of
from envbuild.git.program import GitFailed, output
from envbuild.git.tracked_files import Listed, of_index, of_tree
from envbuild.record import Record

MOST_READ = 16 << 20
"""Bytes of one file of a revision, such as a recipe or a lock."""
_CONVERSIONS = ("filter", "ident", "working-tree-encoding", "eol")


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


class NothingInCommon(UsageError):
    """Two commits have no common beginning, as far as the clone reaches."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(
            f"{one[:12]} and {other[:12]} have no commit in common here",
            "a clone of CI may be shallow: git fetch --unshallow, or fetch-depth: 0",
        )


class OtherWorkTree(UsageError):
    """git takes another folder for the working tree than the one that its `.git` lies in."""

    def __init__(self, folder: str, other: str) -> None:
        super().__init__(
            f"the repository of {folder} says that its files lie in {other}",
            "see git config core.worktree, and whether a folder inside looks like a repository",
        )


class NotAFile(UsageError):
    """A revision has a link or a folder where a file is asked for."""

    def __init__(self, revision: str, path: str) -> None:
        super().__init__(f"in {revision}, {path} is not a plain file", "name the file itself")


class Author(Record):
    """Who last changed a line: the commit's hash, the author, the time (seconds since 1970) and its first line."""

    commit: str
    name: str
    time: int
    summary: str


class Repository:
    """The repository that a folder lies in."""

    def __init__(self, folder: str, index: str = "") -> None:
        """`index` is the path of another index than its own, which git gives its hooks; it has to lie beside that.

        Raises NoRepository, OtherWorkTree and NoGit.
        """
        self.folder = os.path.realpath(folder or ".")
        self._index = ""
        found = repository_of(self.folder)
        if found is None or not os.path.isdir(self.folder):
            raise NoRepository(folder)
        try:
            said = output(self.folder, "rev-parse", "--show-toplevel", "--absolute-git-dir", "--git-common-dir")
        except GitFailed as error:
            if "not a git repository" not in error.message:
                raise
            raise NoRepository(folder) from error
        names = os.fsdecode(said).split("\n")
        self.root = os.path.dirname(found)
        self.common = os.path.realpath(os.path.join(self.folder, names[2]))
        # What git would read and write by `core.worktree` is nobody's business who only looks at this folder.
        if len(names) != 4 or os.path.realpath(names[0]) != os.path.realpath(self.root):
            raise OtherWorkTree(self.root, names[0])
        if index:
            path = os.path.realpath(index)
            if os.path.dirname(path) != os.path.realpath(names[1]):
                raise UsageError(f"the index {index} does not lie in {names[1]}", "git gives it to its hooks")
            self._index = path

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

        Raises NoSuchRevision, NotInRevision, NotAFile and BlobTooLarge.
        """
        commit = self.commit_of(revision)
        named = shown or revision
        if "\0" in path:
            raise NotInRevision(named, path)
        try:
            said = self._git("ls-tree", "-z", "--full-tree", commit, "--", path)
        except GitFailed as error:
            raise NotInRevision(named, path) from error
        found = next((one for one in of_tree(said) if one.path == path), None)
        if found is None:
            raise NotInRevision(named, path)
        if found.mode & 0o170000 != 0o100000:
            raise NotAFile(named, path)
        with Blobs(self.root) as blobs:
            try:
                return blobs.read(found.oid, MOST_READ)
            except BlobTooLarge as error:
                raise UsageError(f"{named}:{path}: {error.message}", error.hint) from error

    def files(self, revision: str, ending: str = "") -> list[str]:
        """The paths of a revision's files that end so. Raises NoSuchRevision and BadTree."""
        return [one.path for one in self.tracked(self.commit_of(revision)) if one.path.endswith(ending)]

    def tracked(self, commit: str | None, folders: Sequence[str] = ()) -> list[Listed]:
        """All files of a commit, or of the index with what git last saw of them; only those of `folders`, if any are
        named. Raises BadTree."""
        inside = ("--", *folders) if folders else ()
        if commit is None:
            # Paths count from where git runs.
            return list(of_index(output(self.root, "ls-files", "-z", "-s", "--debug", *inside, index=self._index)))
        return list(of_tree(self._git("ls-tree", "-r", "-z", "--full-tree", commit, *inside)))

    def changed(self, one: str, other: str) -> list[str]:
        """The paths of the files that differ between two commits, renames as both."""
        return _names(self._git("diff-tree", "-r", "-z", "--name-only", "--no-renames", one, other))

    def staged(self) -> list[str]:
        """The paths of the files in which the index differs from its commit."""
        try:
            before = self.commit_of("HEAD")
        except NoSuchRevision:
            before = self._git("hash-object", "-t", "tree", "--stdin").decode().strip()  # the empty one
        words = ("diff-index", "--cached", "-z", "--name-only", "--no-renames", before)
        return _names(output(self.root, *words, index=self._index))

    def converted(self, paths: Sequence[str]) -> dict[str, str]:
        """Of these files those that git makes with a filter or another conversion, with what its attributes say: they
        are not in a working tree as they are in a commit."""
        given = b"".join(os.fsencode(path) + b"\0" for path in paths)
        words = ("check-attr", "--stdin", "-z", *_CONVERSIONS)
        fields = os.fsdecode(output(self.root, *words, given=given, index=self._index)).split("\0")
        found = zip(fields[0::3], fields[1::3], fields[2::3], strict=False)
        return {path: f"{name}={value}" for path, name, value in found if value not in ("unspecified", "unset", "lf")}

    def blame(self, commit: str, path: str, line: int) -> Author | None:
        """Who last changed a line (from 1) of a file as a commit has it; None if it has no such line."""
        words = ("blame", "--porcelain", "--no-textconv", "--no-ext-diff", "-L", f"{line},{line}", commit, "--", path)
        try:
            said = output(self.root, *words)
        except GitFailed:
            return None
        return author_of(said)

    def git_path(self, name: str) -> str:
        """Where git keeps something of the clone's own, such as info/attributes."""
        return os.path.join(self.common, name)

    def hooks_elsewhere(self) -> str:
        """The folder that the settings name for hooks, "" where they lie in the repository's own."""
        try:
            said = self._git("config", "--show-scope", "-z", "--get-all", "core.hooksPath")
        except GitFailed:
            return ""
        fields = os.fsdecode(said).split("\0")
        found = [path for scope, path in zip(fields[0::2], fields[1::2], strict=False) if scope != "command"]
        return found[-1] if found else ""

    def run(self, *words: str) -> str:
        """What a git command prints. Raises GitFailed."""
        return self._git(*words).decode("utf-8", "replace")

    def _git(self, *words: str) -> bytes:
        return output(self.folder, *words, index=self._index)


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


def _names(said: bytes) -> list[str]:
    return [name for name in os.fsdecode(said).split("\0") if name]
