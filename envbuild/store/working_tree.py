"""The git working tree that a directory lies in, read without git: a cached build has no time to start it.

Whose a `.git` is and where it points may be anybody's choice: `WorkingTree.of` refuses what is another user's, as git
does (safe.directory in git-config(1)), and takes a `.git` that is a file for a worktree of a repository only if that
repository says so too.
"""

from __future__ import annotations

import os
import stat

from envbuild.linux.nofollow import read_plain
from envbuild.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

_BRANCH = "ref: refs/heads/"
_REFTABLE = ".invalid"
"""What HEAD names where a repository keeps its refs in a reftable, which only git reads (gitformat-reftable)."""
_MAX_BYTES = 1 << 16
_OF_TREE = ("HEAD", "index", "commondir", "gitdir", "config.worktree")
_OF_REPOSITORY = (
    "config",
    "packed-refs",
    "shallow",
    "info/attributes",
    "info/exclude",
    "info/grafts",
    "objects/info/alternates",
)
"""Files that git opens for most commands (gitrepository-layout(5)): those of a working tree, and its repository's."""


class WorkingTree(Record):
    """A working tree of the user's own. `project` is the path that all worktrees of its repository have in common: the
    directory of the main one, or the bare repository."""

    root: str
    git_dir: str
    project: str

    @classmethod
    def of(cls, folder: str) -> Self | None:
        """Return the working tree that `folder` lies in; None outside of one, and in one that is another user's."""
        try:
            mark = git_dir_of(folder)
            if mark is None:
                return None
            root = os.path.dirname(mark)
            user = os.geteuid()
            status = os.lstat(mark)
            if status.st_uid != user or os.lstat(root).st_uid != user:
                return None
            if stat.S_ISDIR(status.st_mode):  # as most are: the path has no links in it
                return cls(root, mark, root)
            git_dir = _followed(mark)
            if os.lstat(git_dir).st_uid != user:
                return None
        except (OSError, ValueError):
            return None
        return cls(root, git_dir, _project(root, mark, git_dir))

    @property
    def branch(self) -> str | None:
        """The branch that is checked out, None for a detached HEAD."""
        return _branch(self.git_dir)


def branch_of(folder: str) -> str | None:
    """Return the branch of the working tree that `folder` lies in; None outside of one, and for a detached HEAD
    (gitrepository-layout(5): HEAD, and a `.git` that is a file)."""
    git_dir = git_dir_of(folder)
    if git_dir is None:
        return None
    try:
        branch = _branch(_followed(git_dir))
        return branch if branch is None or branch.encode() else None
    except (OSError, ValueError):
        return None


def git_dir_of(folder: str) -> str | None:
    """Return the path of the `.git` of the working tree that `folder` lies in, with all links on the way resolved."""
    folder = os.path.realpath(folder)
    while not os.path.lexists(f"{folder}/.git"):
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above
    return f"{folder.rstrip('/')}/.git"


def fifo_of(mark: str) -> str | None:
    """Return a file of the repository of a `.git` that is a FIFO, None if no file that git opens for most commands is
    one: git would wait for it."""
    try:
        git_dir = _followed(mark)
        above = f"{git_dir}/commondir"
        if not _is_fifo(above) and os.path.lexists(above):
            common = os.path.realpath(os.path.join(git_dir, _text(above)))
        else:
            common = git_dir
    except (OSError, ValueError):
        return mark if _is_fifo(mark) else None
    branch = _branch(git_dir)
    files = (*_OF_TREE, *_OF_REPOSITORY, *(() if branch is None else (f"refs/heads/{branch}",)))
    paths = (f"{folder}/{name}" for name in files for folder in dict.fromkeys((git_dir, common)))
    return next((path for path in paths if _is_fifo(path)), None)


def _is_fifo(path: str) -> bool:
    try:
        return stat.S_ISFIFO(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def _branch(git_dir: str) -> str | None:
    try:
        head = read_plain(f"{git_dir}/HEAD", _MAX_BYTES).decode("utf-8", "surrogateescape").strip()
    except (OSError, ValueError):
        return None
    branch = head.removeprefix(_BRANCH) if head.startswith(_BRANCH) else None
    return branch if branch != _REFTABLE else None


def _followed(mark: str) -> str:
    """Return the real path of the directory that a `.git` is, or names if it is a file. Raises OSError and
    ValueError."""
    if os.path.isdir(mark):
        return os.path.realpath(mark)
    return os.path.realpath(os.path.join(os.path.dirname(mark), _text(mark).removeprefix("gitdir:").strip()))


def _project(root: str, mark: str, git_dir: str) -> str:
    """Return what all worktrees of a repository have in common. A `.git` that is a file may name any directory: only if
    that is one of its repository's `worktrees/`, and names this `.git` in turn, the tree is one of the repository's."""
    worktrees, name = os.path.split(git_dir)
    if not name or os.path.basename(worktrees) != "worktrees":
        return root
    try:
        back = os.path.realpath(os.path.join(git_dir, _text(f"{git_dir}/gitdir")))
    except (OSError, ValueError):
        return root
    if back != mark:
        return root
    common = os.path.dirname(worktrees)
    return os.path.dirname(common) if os.path.basename(common) == ".git" else common


def _text(path: str) -> str:
    return read_plain(path, _MAX_BYTES).decode("utf-8", "surrogateescape").removesuffix("\n")
