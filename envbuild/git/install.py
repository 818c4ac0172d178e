"""The setup of a clone: a readable diff and a merge driver for locks, and a check before each commit that locks are up
to date.

Drivers are settings of a clone, so the attributes that name them go into the clone's own file (gitattributes(5):
$GIT_DIR/info/attributes): a committed name that others have not set up would do nothing for them.
"""

from __future__ import annotations

import errno
import os
import shlex
import tempfile

from envbuild.errors import EnvbuildError, UsageError, fields
from envbuild.git.git_dir import git_dir_of
from envbuild.git.program import GitFailed, output
from envbuild.git.repository import Repository
from envbuild.linux.nofollow import open_real, read_plain
from envbuild.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

ATTRIBUTES_FILE = ".gitattributes"
DRIVER = "envbuild-lock"
PATTERN = "*.env.lock"
ATTRIBUTES = f"{PATTERN} diff={DRIVER} merge={DRIVER}"
_MAX_BYTES = 1 << 20
_MARK = "# envbuild: check that locks are up to date"
_MERGE_MARK = "# envbuild: fill in what locks lack after a merge"
AFTER_MERGES = ("post-merge", "post-rewrite")
"""The hooks that git starts after a merge or a pull, and after a rebase (githooks(5))."""


class Installed(Record):
    """The files that were set up: the attributes, and the hooks. `hook` is "" if another hook is there already or the
    clone's settings make git look for hooks in another directory; `other_hook` is then its path. `after_merges` are the
    paths of the hooks after merges, without those that are somebody else's."""

    attributes: str
    hook: str
    other_hook: str = ""
    after_merges: tuple[str, ...] = ()


@fields
class NotOurs(UsageError):
    """A file in the clone's `.git` can't be read or written."""

    path: str
    error: OSError

    def text(self) -> tuple[str, str]:
        return (
            f"{self.path}: {self.error.strerror}",
            "envbuild sets up files in the clone's own .git, and follows no links there",
        )


_LAUNCHER = """\
#!/bin/sh
# Starts the envbuild that set this clone up (envbuild git install), or else the one on PATH.
if [ -x {python} ] && [ -e {module} ]; then
    # Without the current directory among its modules: the repository may have a directory `envbuild`.
    exec {python} -P -c {program} "$@"
fi
if command -v envbuild >/dev/null 2>&1; then
    exec envbuild "$@"
fi
if [ "$2" = show-lock ]; then
    exec cat -- "$3"
fi
if [ "$2" = diff-lock ]; then
    if [ "$#" -ge 9 ]; then git --no-pager diff --no-index --no-ext-diff --no-textconv -- "$4" "$7"; fi
    exit 0
fi
echo "error: git calls envbuild for locks, and that is gone: "{python} >&2
echo "hint: install envbuild again, and set this clone up with it: envbuild git install" >&2
if [ "$2" = fill-locks ]; then
    exit 0
fi
if [ "$2" = pre-commit ]; then
    echo "hint: or commit without the check: git commit --no-verify" >&2
fi
exit 1
"""
_PROGRAM = "import sys; sys.path.append({root!r}); from envbuild.__main__ import main; main()"
_LAUNCHER_NAME = "envbuild"
CALL_OF_HOOK = f'"$(git rev-parse --git-common-dir)/{_LAUNCHER_NAME}" git pre-commit'
"""How a hook of git starts the check."""
_CALL = f'"$(git rev-parse --git-common-dir)/{_LAUNCHER_NAME}"'


def install(repository: Repository, python: str, module: str) -> Installed:
    """Set up the repository; doing so twice is harmless. `python` and `module` are the paths of the interpreter and of
    envbuild's main file: git starts these while they exist."""
    launcher = repository.git_path(_LAUNCHER_NAME)
    program = _PROGRAM.format(root=os.path.dirname(os.path.dirname(module)))
    words = {"python": python, "module": module, "program": program}
    _write(launcher, _LAUNCHER.format(**{name: shlex.quote(word) for name, word in words.items()}), 0o755)
    for name, value in (
        (f"diff.{DRIVER}.textconv", f"{_CALL} git show-lock"),
        (f"diff.{DRIVER}.cachetextconv", "false"),
        (f"diff.{DRIVER}.command", f"{_CALL} git diff-lock"),
        (f"merge.{DRIVER}.name", "locks of envbuild"),
        (f"merge.{DRIVER}.driver", f"{_CALL} git merge-lock %O %A %B %P"),
    ):
        repository.run("config", "--local", name, value)
    attributes = repository.git_path("info/attributes")
    _put_line(attributes, ATTRIBUTES)
    elsewhere = repository.hooks_elsewhere()
    if elsewhere:
        return Installed(attributes, "", os.path.join(elsewhere, "pre-commit"))
    filling = tuple(_set_up_after_merges(repository))
    hook = repository.git_path("hooks/pre-commit")
    if os.path.lexists(hook) and _MARK not in _read(hook):
        return Installed(attributes, "", hook, filling)
    _write(hook, f"#!/bin/sh\n{_MARK}\nexec {CALL_OF_HOOK}\n", 0o755)
    return Installed(attributes, hook, "", filling)


def _set_up_after_merges(repository: Repository) -> Iterator[str]:
    for name in AFTER_MERGES:
        hook = repository.git_path(f"hooks/{name}")
        if not os.path.lexists(hook) or _MERGE_MARK in _read(hook):
            _write(hook, f"#!/bin/sh\n{_MERGE_MARK}\nexec {_CALL} git fill-locks </dev/null\n", 0o755)
            yield hook


def remove(repository: Repository) -> None:
    """Remove what `install` set up."""
    for section in (f"diff.{DRIVER}", f"merge.{DRIVER}"):
        try:
            repository.run("config", "--local", "--remove-section", section)
        except GitFailed:
            continue  # it was not there
    attributes = repository.git_path("info/attributes")
    if os.path.lexists(attributes):
        lines = [line for line in _read(attributes).splitlines() if line != ATTRIBUTES]
        _write(attributes, "".join(f"{line}\n" for line in lines))
    hook = repository.git_path("hooks/pre-commit")
    if os.path.lexists(hook) and _MARK in _read(hook):
        os.unlink(hook)
    for name in AFTER_MERGES:
        hook = repository.git_path(f"hooks/{name}")
        if os.path.lexists(hook) and _MERGE_MARK in _read(hook):
            os.unlink(hook)
    launcher = repository.git_path(_LAUNCHER_NAME)
    if os.path.isfile(launcher):
        os.unlink(launcher)


def let_git_merge(lock_path: str) -> str:
    """Let git merge this lock by keeping the lines of both sides, since each package has a line of its own
    (gitattributes(5)). Without this, two branches that each add a package would conflict in the lines that identify the
    image.

    Returns the path of the file that was written, "" if nothing had to be done: the lock is in no repository, git
    ignores it, or its attributes already say how it is merged.
    """
    folder, name = os.path.split(os.path.abspath(lock_path))
    folder = os.path.realpath(folder)
    if git_dir_of(folder) is None:
        return ""
    try:
        if os.path.lexists(f"{folder}/{ATTRIBUTES_FILE}"):
            read_plain(f"{folder}/{ATTRIBUTES_FILE}", _MAX_BYTES)  # git would wait for a FIFO
        merged_by = _merged_by(folder, name)
        if merged_by == DRIVER:
            # That is this clone's own setting. Others, and the host's web page, have only what is committed.
            merged_by = _merged_by_others(folder, name)
        if merged_by != "unspecified" or _is_ignored(folder, name):
            return ""
    except (EnvbuildError, OSError):
        return ""
    pattern = "*.env.lock" if name.endswith(".env.lock") else f"/{name}"
    path = f"{folder}/{ATTRIBUTES_FILE}"
    try:
        _append_line(path, f"{pattern} merge=union")
    except OSError:
        return ""  # a lock can also be merged by hand
    return path


def _merged_by(folder: str, name: str, *options: str) -> str:
    """Return what git's attributes say of how a file is merged. Raises the errors of git."""
    answer = output(folder, *options, "check-attr", "merge", "--", name, seconds=10)
    return answer.decode("utf-8", "replace").rstrip().rpartition(": ")[2]


def _is_ignored(folder: str, name: str) -> bool:
    """Return whether git ignores a file that is there and does not track it. Raises the errors of git."""
    words = ("ls-files", "--others", "--ignored", "--exclude-standard", "--", name)
    return output(folder, *words, seconds=10) != b""


def _merged_by_others(folder: str, name: str) -> str:
    """Return how a file is merged in a clone of which nobody has set up anything. Raises the errors of git."""
    top = output(folder, "rev-parse", "--show-toplevel", seconds=10).decode("utf-8", "surrogateescape").rstrip("\n")
    with tempfile.TemporaryDirectory(prefix="envbuild-") as empty:
        for part in ("objects", "refs"):
            os.mkdir(f"{empty}/{part}")
        _write(f"{empty}/HEAD", "ref: refs/heads/main\n")
        return _merged_by(folder, name, f"--git-dir={empty}", f"--work-tree={top}")


def _append_line(path: str, line: str) -> None:
    """Add a line to a plain file at a path without links; create it if there is none. Raises OSError."""
    try:
        text = read_plain(path, _MAX_BYTES)
    except FileNotFoundError:
        text = b""
    # The file may have been replaced since it was read: follow no link, and don't wait for a FIFO.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY
    descriptor = open_real(path, flags)
    try:
        start = b"\n" if text and not text.endswith(b"\n") else b""
        os.write(descriptor, start + line.encode() + b"\n")
    finally:
        os.close(descriptor)


def _put_line(path: str, line: str) -> None:
    text = _read(path) if os.path.lexists(path) else ""
    if line not in text.splitlines():
        _write(path, text + ("\n" if text and not text.endswith("\n") else "") + line + "\n")


def _read(path: str) -> str:
    """Return the text of a file in the clone's `.git`; "" if it is not a plain file, which somebody else put there."""
    try:
        return read_plain(path, _MAX_BYTES).decode("utf-8", "surrogateescape")
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EINVAL):
            return ""
        raise NotOurs(path, error) from error


def _write(path: str, text: str, mode: int = 0o644) -> None:
    """Replace a whole file atomically, without following a link on the way to it."""
    parent, name = os.path.split(path)
    temporary = f"{name}.{os.getpid()}.new"
    try:
        if not os.path.lexists(parent):
            os.mkdir(parent)
        folder = open_real(parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(temporary, flags, mode, dir_fd=folder), "wb") as file:
                file.write(text.encode("utf-8", "surrogateescape"))
                os.fchmod(file.fileno(), mode)
            os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise NotOurs(path, error) from error
