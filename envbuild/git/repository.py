"""A git repository, as far as envbuild reads it. Nothing here changes a repository or checks anything out."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from envbuild.errors import UsageError, fields
from envbuild.git.blobs import Blobs, BlobTooLarge
from envbuild.git.git_dir import fifo_of, git_dir_of
from envbuild.git.program import GitFailed, output
from envbuild.git.tracked_files import TrackedFile, files_of_index, files_of_tree
from envbuild.linux.nofollow import read_plain
from envbuild.record import Record

MAX_READ = 16 << 20
"""The size of one file in a revision, such as a recipe or a lock."""
_LOGGED = "%H%nauthor %an%nauthor-time %at%ncommitter-time %ct%nsummary %s"
"""A commit as `author_of` reads it."""
_CONVERSIONS = ("filter", "ident", "working-tree-encoding", "eol")


@fields
class NoRepository(UsageError):
    """A directory that is in no git repository."""

    folder: str

    def text(self) -> tuple[str, str]:
        return (
            f"{os.path.abspath(self.folder)} is not in a git repository",
            "change to a directory of the recipe's repository",
        )


@fields
class NoSuchRevision(UsageError):
    """A revision that git does not know."""

    revision: str

    def text(self) -> tuple[str, str]:
        return (
            f"git knows no revision '{self.revision}' here",
            "name a branch, a tag or a commit; git fetch gets those of others",
        )


@fields
class NotInRevision(UsageError):
    """A file that a revision does not have."""

    revision: str
    path: str

    def text(self) -> tuple[str, str]:
        return f"{self.revision} has no file {self.path}", f"list its files: git ls-tree -r --name-only {self.revision}"


@fields
class FileOfRevisionTooLarge(UsageError):
    """A file of a revision has more bytes than are read of one."""

    revision: str
    path: str
    error: BlobTooLarge

    def text(self) -> tuple[str, str]:
        return f"{self.revision}:{self.path}: {self.error.message}", self.error.hint


@fields
class IndexElsewhere(UsageError):
    """`$GIT_INDEX_FILE` is not an index of this repository."""

    index: str
    git_dir: str

    def text(self) -> tuple[str, str]:
        return f"the index {self.index} does not lie in {self.git_dir}", "git sets $GIT_INDEX_FILE for its hooks"


@fields
class NothingInCommon(UsageError):
    """Two commits without a common ancestor, as far as the clone reaches."""

    old: str
    new: str

    def text(self) -> tuple[str, str]:
        return (
            f"{self.old[:12]} and {self.new[:12]} have no common ancestor here",
            "a clone in CI may be shallow: git fetch --unshallow, or fetch-depth: 0",
        )


@fields
class NotBefore(UsageError):
    """Two commits of which the first does not lead to the second."""

    good: str
    bad: str

    def text(self) -> tuple[str, str]:
        return f"{self.good} is not a commit before {self.bad}", "name a good commit and a later one, as in v1.0..HEAD"


@fields
class OtherWorkTree(UsageError):
    """A repository whose working tree is not the directory that its `.git` lies in."""

    folder: str
    worktree: str

    def text(self) -> tuple[str, str]:
        return (
            f"the repository of {self.folder} says that its files lie in {self.worktree}",
            "see git config core.worktree, and whether a directory inside looks like a repository",
        )


@fields
class FifoOfGit(UsageError):
    """A FIFO among the files that git opens."""

    path: str

    def text(self) -> tuple[str, str]:
        return f"{self.path} is a FIFO, which git would wait for", "see who put it there: git makes none"


@fields
class NotAFile(UsageError):
    """A link or a directory of a revision where a file is wanted."""

    revision: str
    path: str

    def text(self) -> tuple[str, str]:
        return f"in {self.revision}, {self.path} is not a plain file", "name the file itself"


class Author(Record):
    """The author of the last change of a line or a file: the commit's hash, the name, the time (seconds since 1970),
    the subject, and when it was committed."""

    commit: str
    name: str
    time: int
    summary: str
    committed: int = 0


class Repository:
    """The repository that a directory lies in: `root` is its working tree, `git_dir` what git keeps of that alone, and
    `common` what all working trees of the clone share."""

    def __init__(self, folder: str, index: str = "") -> None:
        """Find the repository. `index` is the path of another index, which git gives its hooks; it must lie beside its
        own.

        Raises NoRepository, FifoOfGit, OtherWorkTree and NoGit.
        """
        self.folder = os.path.realpath(folder or ".")
        self._index = ""
        git_dir = git_dir_of(self.folder)
        if git_dir is None or not os.path.isdir(self.folder):
            raise NoRepository(folder)
        fifo = fifo_of(git_dir)
        if fifo is not None:
            raise FifoOfGit(fifo)
        try:
            paths = output(self.folder, "rev-parse", "--show-toplevel", "--absolute-git-dir", "--git-common-dir")
        except GitFailed as error:
            if "not a git repository" not in error.message:
                raise
            raise NoRepository(folder) from error
        names = os.fsdecode(paths).split("\n")
        self.root = os.path.dirname(git_dir)
        self.common = os.path.realpath(os.path.join(self.folder, names[2]))
        self.git_dir = os.path.realpath(names[1])
        # With `core.worktree` git would read files that have nothing to do with this directory.
        if len(names) != 4 or os.path.realpath(names[0]) != os.path.realpath(self.root):
            raise OtherWorkTree(self.root, names[0])
        if index:
            path = os.path.realpath(index)
            if os.path.dirname(path) != os.path.realpath(names[1]):
                raise IndexElsewhere(index, names[1])
            self._index = path

    def commit_of(self, revision: str) -> str:
        """Return the full hash of the commit that `revision` names. Raises NoSuchRevision."""
        try:
            commit = self._git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        except GitFailed as error:
            raise NoSuchRevision(revision) from error
        return commit.decode().strip()

    def merge_base(self, old: str, new: str) -> str:
        """Return the commit at which two commits diverged. Raises NothingInCommon."""
        try:
            return self._git("merge-base", old, new).decode().strip()
        except GitFailed as error:
            raise NothingInCommon(old, new) from error

    def path_of(self, path: str) -> str:
        """Return a path (absolute or relative to the working directory) as the repository has it. Raises
        NoRepository."""
        # The parent and not the file, which may be a link or only in another revision.
        folder, name = os.path.split(os.path.abspath(path))
        inner = os.path.relpath(os.path.join(os.path.realpath(folder), name), os.path.realpath(self.root))
        if inner.startswith(".."):
            raise NoRepository(folder)
        return inner

    def read(self, revision: str, path: str, shown: str | None = None) -> bytes:
        """Return a file of a revision. `path` is as `path_of` returns it, `shown` is the revision as the user wrote it.

        Raises NoSuchRevision, NotInRevision, NotAFile and BlobTooLarge.
        """
        commit = self.commit_of(revision)
        named = shown or revision
        if "\0" in path:
            raise NotInRevision(named, path)
        try:
            listing = self._git("ls-tree", "-z", "--full-tree", commit, "--", path)
        except GitFailed as error:
            raise NotInRevision(named, path) from error
        file = next((file for file in files_of_tree(listing) if file.path == path), None)
        if file is None:
            raise NotInRevision(named, path)
        if file.mode & 0o170000 != 0o100000:
            raise NotAFile(named, path)
        with Blobs(self.root) as blobs:
            try:
                return blobs.read(file.oid, MAX_READ)
            except BlobTooLarge as error:
                raise FileOfRevisionTooLarge(named, path, error) from error

    def files(self, revision: str, suffix: str = "") -> list[str]:
        """Return the paths of a revision's files that end with `suffix`. Raises NoSuchRevision and BadTree."""
        return [file.path for file in self.tracked(self.commit_of(revision)) if file.path.endswith(suffix)]

    def tracked(self, commit: str | None, folders: Sequence[str] = ()) -> list[TrackedFile]:
        """Return all files of a commit, or of the index with the status that git last saw. If `folders` are given,
        return only the files in these. Raises BadTree."""
        inside = ("--", *folders) if folders else ()
        if commit is None:
            # Paths are relative to the directory that git runs in.
            return list(
                files_of_index(output(self.root, "ls-files", "-z", "-s", "--debug", *inside, index=self._index))
            )
        return list(files_of_tree(self._git("ls-tree", "-r", "-z", "--full-tree", commit, *inside)))

    def untracked(self, folders: Sequence[str]) -> list[str]:
        """Return the paths of the files below `folders` that git does not know, ignored ones too."""
        return _names(output(self.root, "ls-files", "--others", "-z", "--", *folders)) if folders else []

    def in_working_tree(self) -> list[str]:
        """Return the paths of the files that git tracks, and of those that it neither tracks nor ignores."""
        return _names(output(self.root, "ls-files", "--cached", "--others", "--exclude-standard", "-z"))

    def changed(self, old: str, new: str) -> list[str]:
        """Return the paths of the files that differ between two commits; of a rename, both."""
        return _names(self._git("diff-tree", "-r", "-z", "--name-only", "--no-renames", old, new))

    def staged(self) -> list[str]:
        """Return the paths of the files that differ between the index and HEAD."""
        try:
            before = self.commit_of("HEAD")
        except NoSuchRevision:
            before = self._git("hash-object", "-t", "tree", "--stdin").decode().strip()  # the empty one
        words = ("diff-index", "--cached", "-z", "--name-only", "--no-renames", before)
        return _names(output(self.root, *words, index=self._index))

    def converted(self, paths: Sequence[str]) -> dict[str, str]:
        """Return those of these files that git writes with a filter or another conversion, with their attributes: in a
        working tree they are not as in a commit."""
        given = b"".join(os.fsencode(path) + b"\0" for path in paths)
        words = ("check-attr", "--stdin", "-z", *_CONVERSIONS)
        fields = os.fsdecode(output(self.root, *words, given=given, index=self._index)).split("\0")
        attributes = zip(fields[0::3], fields[1::3], fields[2::3], strict=False)
        return {
            path: f"{name}={value}" for path, name, value in attributes if value not in ("unspecified", "unset", "lf")
        }

    def blame(self, commit: str, path: str, first: int, last: int) -> list[Author]:
        """Return the author of each of these lines (from 1) of a file in a commit, each once; none if it has no such
        lines."""
        words = ("blame", "--line-porcelain", "--root", "--no-textconv", "--no-ext-diff", "-L", f"{first},{last}")
        try:
            porcelain = output(self.root, *words, commit, "--", path)
        except GitFailed:
            return []
        # Each line ends with its text, which begins with a tab; nothing else does.
        lines = re.split(rb"(?m)^\t.*\n?", porcelain)
        return list(dict.fromkeys(author for line in lines if line and (author := author_of(line)) is not None))

    def last_change(self, commit: str, path: str, pickaxe: str = "") -> Author | None:
        """Return the author of the last commit up to `commit` that changed a file or something below a directory; with
        `pickaxe`, that changed how often it has this text. None if none did."""
        search = (f"-S{pickaxe}",) if pickaxe else ()
        words = ("log", "-1", "--no-textconv", "--no-ext-diff", "--no-show-signature", f"--format={_LOGGED}", *search)
        logged = self._git(*words, commit, "--", path)
        return author_of(logged) if logged else None

    def commits_of(self, path: str, most: int) -> list[str]:
        """Return HEAD and the last commits of all branches that changed a file, the newest first."""
        words = ("rev-list", "--all", f"--max-count={most}", "--", path)
        return [self.commit_of("HEAD"), *self._git(*words).decode("ascii", "replace").split()]

    def commits_between(self, good: str, bad: str) -> list[str]:
        """Return a commit and those that lead from it to a later one, the first parent of each merge. Raises
        NotBefore and NoSuchRevision."""
        first, last = self.commit_of(good), self.commit_of(bad)
        if self.merge_base(first, last) != first or first == last:
            raise NotBefore(good, bad)
        words = ("rev-list", "--first-parent", "--reverse", f"{first}..{last}")
        return [first, *self._git(*words).decode("ascii", "replace").split()]

    def author(self, commit: str) -> Author | None:
        """Return who made a commit."""
        words = ("log", "-1", "--no-show-signature", f"--format={_LOGGED}", commit)
        return author_of(self._git(*words))

    def shallow_commits(self) -> frozenset[str]:
        """Return the commits at which a shallow clone ends: git takes them for the origin of all that they have."""
        try:
            return frozenset(read_plain(f"{self.common}/shallow", MAX_READ).decode("ascii", "replace").split())
        except OSError:
            return frozenset()

    def git_path(self, name: str) -> str:
        """Return the path of a file that belongs to the clone, such as info/attributes."""
        return os.path.join(self.common, name)

    def wants_colour(self, terminal: bool) -> bool:
        """Return whether the user's settings want colours in `git diff`, on a `terminal` or not."""
        words = ("config", "--get-colorbool", "color.diff", "true" if terminal else "false")
        try:
            return self._git(*words).strip() == b"true"
        except GitFailed:
            return False

    def hooks_elsewhere(self) -> str:
        """Return the directory that the settings name for hooks, "" if hooks lie in the repository's own."""
        try:
            values = self._git("config", "--show-scope", "-z", "--get-all", "core.hooksPath")
        except GitFailed:
            return ""
        fields = os.fsdecode(values).split("\0")
        folders = [path for scope, path in zip(fields[0::2], fields[1::2], strict=False) if scope != "command"]
        return folders[-1] if folders else ""

    def run(self, *words: str) -> str:
        """Return what a git command prints. Raises GitFailed."""
        return self._git(*words).decode("utf-8", "replace")

    def _git(self, *words: str) -> bytes:
        return output(self.folder, *words, index=self._index)


def author_of(porcelain: bytes) -> Author | None:
    """Return the author of one line from the output of `git blame --line-porcelain`, None if it names no author.

    The author chose names and messages: only a line feed ends them, not the other characters that end a line for
    Python.
    """
    lines = porcelain.decode("utf-8", "replace").split("\n")
    fields: dict[str, str] = {}
    for line in lines[1:]:
        name, space, value = line.partition(" ")
        if space and not line.startswith("\t"):
            fields.setdefault(name, value)
    commit, moment = lines[0].partition(" ")[0], fields.get("author-time", "")
    if not commit or "author" not in fields or not moment.isascii() or not moment.isdigit() or len(moment) > 15:
        return None
    committed = fields.get("committer-time", "")
    is_number = committed.isascii() and committed.isdigit() and len(committed) <= 15
    return Author(commit, fields["author"], int(moment), fields.get("summary", ""), int(committed) if is_number else 0)


def _names(listing: bytes) -> list[str]:
    return [name for name in os.fsdecode(listing).split("\0") if name]
