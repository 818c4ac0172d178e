"""The merge of texts: by lines as git merges them, and of lists whose lines stand each for itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile

from envbuild.merge.records import in_order
from envbuild.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.history.line_diff import Opcode

MAX_TEXT = 4_000_000
"""Bytes of a text that is merged by lines."""
_HEAD = 8_000
_SECONDS = 10.0
_MOST_CONFLICTS = 127


class MergedText(NamedTuple):
    """A merged text, with the conflicts between git's markers, and how many there are."""

    content: bytes
    conflicts: int


def is_text(content: bytes) -> bool:
    """Return whether a content is merged by lines: git's own rule, no zero byte at its beginning, and not too large."""
    return len(content) <= MAX_TEXT and b"\0" not in content[:_HEAD]


def join_texts(base: bytes, ours: bytes, theirs: bytes) -> bytes:
    """Return the merge of two texts in which conflicting lines of both sides stand behind each other."""
    return _by_lines(base, ours, theirs, union=True).content


def merge_texts(base: bytes, ours: bytes, theirs: bytes, *, git: bool | None = None) -> MergedText:
    """Return the merge of two texts that began as `base`: by git where this machine has it, else by ourselves. `git`
    says which."""
    if ours == theirs or theirs == base:
        return MergedText(ours, 0)
    if ours == base:
        return MergedText(theirs, 0)
    merged = _by_git(base, ours, theirs) if git is not False and shutil.which("git") else None
    return merged if merged is not None else _by_lines(base, ours, theirs)


def _by_git(base: bytes, ours: bytes, theirs: bytes) -> MergedText | None:
    """Return what git makes of it, None if it makes nothing."""
    from envbuild.git.program import command, variables

    with tempfile.TemporaryDirectory(prefix="envbuild-merge-") as folder:
        names = {"ours": ours, "base": base, "theirs": theirs}
        for name, content in names.items():
            with open(os.path.join(folder, name), "wb") as file:
                file.write(content)
        labels = [word for name in names for word in ("-L", name)]
        words = command(folder, "-c", "merge.conflictStyle=diff3", "merge-file", "-p", "--diff3", *labels, *names)
        # What git finds in the folders above is nobody's: a repository's settings could change the merge.
        environment = {**variables(), b"GIT_CEILING_DIRECTORIES": os.fsencode(os.path.dirname(folder))}
        environment |= {b"GIT_CONFIG_GLOBAL": b"/dev/null", b"GIT_CONFIG_NOSYSTEM": b"1"}
        try:
            done = subprocess.run(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
                timeout=_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
    return MergedText(done.stdout, done.returncode) if 0 <= done.returncode <= _MOST_CONFLICTS else None


def _by_lines(base: bytes, ours: bytes, theirs: bytes, *, union: bool = False) -> MergedText:
    sides = [_split(text) for text in (base, ours, theirs)]
    before, left, right = sides

    merged: list[str] = []
    conflicts = 0
    at = 0
    for group in _groups(_changes(before, left), _changes(before, right)):
        merged += before[at : group.start]
        was = before[group.start : group.end]
        our, their = (
            _replaced(before, side, group, codes) for side, codes in ((left, group.ours), (right, group.theirs))
        )
        if our == their or their == was:
            merged += our
        elif our == was:
            merged += their
        elif union:
            first, second = sorted((our, their))
            merged += [*first, *(line for line in second if line not in first)]
        else:
            conflicts += 1
            for mark, lines in (("<<<<<<< ours", our), ("||||||| base", was), ("=======", their)):
                merged.append(f"{mark}\n")
                merged += [line if line.endswith("\n") else f"{line}\n" for line in lines]
            merged.append(">>>>>>> theirs\n")
        at = group.end
    merged += before[at:]
    return MergedText("".join(merged).encode("utf-8", "surrogateescape"), conflicts)


class _Group:
    """Changes of both sides that touch each other, and the lines of the base that they replace."""

    def __init__(self, start: int, end: int) -> None:
        self.start = start
        self.end = end
        self.ours: list[Opcode] = []
        self.theirs: list[Opcode] = []


def _changes(base: list[str], side: list[str]) -> list[Opcode]:
    from envbuild.history.line_diff import opcodes

    return [code for code in opcodes(base, side) if code[0] != "equal"]


def _split(text: bytes) -> list[str]:
    lines = text.decode("utf-8", "surrogateescape").split("\n")
    return [*(f"{line}\n" for line in lines[:-1]), *filter(None, lines[-1:])]


def _groups(ours: list[Opcode], theirs: list[Opcode]) -> list[_Group]:
    groups: list[_Group] = []
    marked = sorted([*((code[1:3], 0, code) for code in ours), *((code[1:3], 1, code) for code in theirs)])
    for (start, end), side, code in marked:
        # As git has it, changes that only touch are one, too: nobody knows in which order they belong.
        if not groups or start > groups[-1].end:
            groups.append(_Group(start, end))
        group = groups[-1]
        group.end = max(group.end, end)
        (group.theirs if side else group.ours).append(code)
    return groups


def _replaced(base: list[str], side: list[str], group: _Group, codes: list[Opcode]) -> list[str]:
    """Return what a side has in the place of a group's lines of the base."""
    lines: list[str] = []
    at = group.start
    for _, first, last, from_line, to_line in codes:
        lines += base[at:first]
        lines += side[from_line:to_line]
        at = last
    return lines + base[at : group.end]


def merge_lists(base: bytes, ours: bytes, theirs: bytes) -> bytes:
    """Return a list that has the lines that both have, and those that either added; what either removed is gone."""
    before, left, right = (dict.fromkeys(text.splitlines()) for text in (base, ours, theirs))
    kept = [
        line
        for line in in_order(before, left, right)
        if (line in left and line in right) or (line not in before and (line in left or line in right))
    ]
    return b"".join(line + b"\n" for line in kept)


def merge_logs(base: bytes, ours: bytes, theirs: bytes) -> bytes:
    """Return a log with what both sides wrote behind what there was: the side whose first line sorts first is first,
    as lines of logs begin with their time."""
    if not (ours.startswith(base) and theirs.startswith(base)):
        return max(ours, theirs, key=lambda text: (len(text), text))
    first, second = sorted((ours[len(base) :], theirs[len(base) :]))
    return base + first + second
