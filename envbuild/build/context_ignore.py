"""What a copied folder leaves out: what its file of patterns says, and what no image is meant to have."""

from __future__ import annotations

import os
import posixpath

from envbuild.errors import UsageError, fields
from envbuild.linux.nofollow import inside, read_plain
from envbuild.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from envbuild.tree.patterns import Matcher

IGNORE_FILES = (".envignore", ".dockerignore")
"""The first that is there counts."""
VERSION_CONTROL = frozenset({".git", ".hg", ".svn", ".jj"})
"""Changed by every commit."""
LOCKS = ".env.lock"
"""How the names of recipes' locks end: changed by every build."""
_ANY_NAME = "\x01"
"""The name of a file that no line of a file of patterns means."""
MAX_IGNORED = 1 << 20
"""Bytes of a file of patterns."""


class ContextError(UsageError):
    """A path of the recipe's folder can't be used: the base of the kinds of this."""


@fields
class ContextUnreadable(ContextError):
    """What lies in the folder can't be read."""

    path: str
    reason: str
    mend: str = ""

    def text(self) -> tuple[str, str]:
        return f"{self.path}: {self.reason}", self.mend


@fields
class IgnoreFileOutside(ContextError):
    """A file of patterns is a link that leads out of the folder."""

    path: str

    def text(self) -> tuple[str, str]:
        return f"{self.path} leads out of its folder and of the recipe's", "make it a file of that folder"


class Ignored(Record):
    """What one folder leaves out. `path` and `content` are those of its file of patterns, if it has one; `own` has its
    patterns, and `all` those and what is left out everywhere. `reopens`: a `!` may bring back what lies in a folder
    that is left out, as Docker has it and git has not."""

    path: str = ""
    content: bytes = b""
    own: Matcher | None = None
    all: Matcher | None = None
    reopens: bool = False


def read_ignored(folder: str, root: str, shown: str) -> Ignored:
    """Return what a real folder leaves out; the file of patterns may be a link to elsewhere in `root`, and messages
    call the folder `shown`. Raises ContextError."""
    for name in IGNORE_FILES:
        path = f"{folder}/{name}"
        if os.path.lexists(path):
            return _read(path, folder, root, os.path.join(shown, name))
    return Ignored()


def is_left_out_everywhere(name: str) -> bool:
    """Return whether files and folders of this name are only copied where a statement names them."""
    return name in VERSION_CONTROL or name.endswith(LOCKS)


def without_effect(ignored: Ignored, folder: str) -> Iterator[tuple[str, str]]:
    """Yield lines that begin with `!` and bring nothing back, each with the line to write: a directory that is left out
    is never looked into, as git has it."""
    own = ignored.own
    if own is None or ignored.reopens or not ignored.path.endswith(IGNORE_FILES[0]):
        return
    for line in own.source:
        path = line.rstrip().removeprefix("!").strip("/")
        if not line.startswith("!") or not path or any(mark in path for mark in "*?[\\"):
            continue
        parts = path.split("/")
        above = ["/".join(parts[:count]) for count in range(1, len(parts))]
        closed = next((name for name in above if own.matches(os.fsencode(name), True)), None)
        if closed is not None:
            yield line, f"{closed}/*"
        elif os.path.isdir(f"{folder}/{path}") and own.matches(os.fsencode(f"{path}/{_ANY_NAME}"), False):
            yield line, f"!{path}/**"


def _read(path: str, folder: str, root: str, shown: str) -> Ignored:
    real = inside(path, folder, root)
    if real is None:
        raise IgnoreFileOutside(shown)
    try:
        content = read_plain(real, MAX_IGNORED)
    except OSError as error:
        raise ContextUnreadable(shown, str(error.strerror), "make it a plain file, or remove it") from error
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ContextUnreadable(shown, str(error)) from error
    from envbuild.tree.patterns import compile_patterns  # most folders have no such file

    docker = path.endswith(IGNORE_FILES[1])
    if docker:
        lines = list(_from_docker(lines))
    everywhere = [*sorted(VERSION_CONTROL), f"*{LOCKS}"]
    reopens = docker and any(line.startswith("!") for line in lines)
    return Ignored(path, content, compile_patterns(lines), compile_patterns([*everywhere, *lines]), reopens)


def _from_docker(lines: Iterable[str]) -> Iterator[str]:
    """Yield lines of a .dockerignore as patterns of ours: theirs begin at the folder, and what they say of a folder
    they say of all that is in it (docs.docker.com/build/concepts/context, "dockerignore files")."""
    for line in lines:
        if line.startswith("#"):
            continue
        text = line.strip()
        mark = "!" if text.startswith("!") else ""
        text = posixpath.normpath(text.removeprefix("!").strip() or ".").lstrip("/")
        if text != ".":
            yield f"{mark}/{text}"
            yield f"{mark}/{text}/**"
