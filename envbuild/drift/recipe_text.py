"""The text of a recipe written for an instance, and the files that lie beside it."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterable

from envbuild.drift.file_lines import RecipeFile
from envbuild.drift.statement_text import Line, shown, word
from envbuild.drift.unexpressed import GIT, NOISE, RECORD, SCRIPT, Unexpressed
from envbuild.errors import UsageError, fields
from envbuild.linux.nofollow import Folder
from envbuild.record import Record
from envbuild.store.store import Store
from envbuild.text.dates import iso
from envbuild.tree.entry import FILE, LINK

_FOLDED = (RECORD, SCRIPT, GIT)
_MAX_PATTERNS = 4
"""Patterns of a rule that are proposed; if it has more, this number of its paths."""


class Dropped(Record):
    """A line that could not be built, and the reason; files replace it."""

    line: Line
    reason: str


@fields
class RecipeInTheWay(UsageError):
    """An existing file where one would be written."""

    path: str

    def text(self) -> tuple[str, str]:
        return f"{self.path} exists already", "give another name or --output, or replace it with --force"


def recipe_text(
    head: Iterable[str],
    base: str,
    lines: Iterable[Line],
    unexpressed: Iterable[Unexpressed],
    dropped: Iterable[Dropped],
    remarks: Iterable[str] = (),
) -> str:
    """Return the whole text. `head` are its first comments, `base` is the line that it starts from, and `remarks` are
    comments behind the lines."""
    parts = [*(f"# {_clean(text)}" for text in head), base, *(line.text for line in lines)]
    parts += [f"#{_clean(text)}".rstrip() for text in (*remarks, *_remarks(list(unexpressed), list(dropped)))]
    return "\n".join(parts) + "\n"


def _clean(text: str) -> str:
    """Return a line without characters that a recipe must not contain: parts of it come from untrusted sources."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _remarks(unexpressed: list[Unexpressed], dropped: list[Dropped]) -> list[str]:
    remarks: list[str] = []
    if dropped:
        remarks += ["", " These lines could not be built; files are copied instead:"]
        for failed in dropped:
            remarks += [f"   {text}" for text in failed.line.text.splitlines()]
            remarks += [f"     {failed.reason}"]
    noise = [path for path in unexpressed if path.kind == NOISE]
    if noise:
        remarks += ["", " Noise, which no line above makes. If a line does, these remove it"]
        remarks += [" (and what the image itself has there):"]
        counts = Counter(path.rule for path in noise if path.rule is not None)
        for rule, count in counts.items():
            patterns = list(rule.patterns)
            if len(patterns) > _MAX_PATTERNS:
                patterns = sorted({shown(path.change.path) for path in noise if path.rule == rule})[:_MAX_PATTERNS]
            remarks.append(f" discard {' '.join(map(word, patterns))}  # {rule.name}, {count}: {rule.reason}")
    rest = [path for path in unexpressed if path.kind != NOISE]
    if rest:
        remarks += ["", " Not expressed:"]
        for kind in _FOLDED:
            same = [path for path in rest if path.kind == kind]
            if same:
                remarks.append(f"   {shown(same[0].change.path)} and its like, {len(same)} in all: {same[0].reason}")
        remarks += [f"   {shown(path.change.path)}  {path.reason}" for path in rest if path.kind not in _FOLDED]
    return remarks


def head_of(recipe: str, instance: str, tag: str, now: float) -> list[str]:
    """Return the first comments of a recipe."""
    day = iso(now).partition("T")[0]
    return [
        f"{recipe} - the changes made by hand in the instance {instance}, which is now the image {tag}",
        f"Written by `envbuild commit {instance}` on {day}.",
    ]


def refuse_to_overwrite(folder: str, stem: str) -> None:
    """Raise RecipeInTheWay if something would be replaced."""
    for name in names_of(stem):
        if os.path.lexists(os.path.join(folder, name)):
            raise RecipeInTheWay(os.path.join(folder, name))


def names_of(stem: str) -> tuple[str, ...]:
    """Return all names that may be written for a recipe with this name."""
    return (f"{stem}.env", f"{stem}.files", f"{stem}.odd", f"{stem}.keys")


def write_files(store: Store, folder: str, files: Iterable[RecipeFile]) -> None:
    """Write the files that lines copy into a directory. A file that only its owner could read stays so."""
    with Folder(folder) as top:
        for recipe_file in files:
            entry = recipe_file.entry
            # Directories get the mode that git gives them, whatever the umask is.
            with top.below(os.fsdecode(recipe_file.place)) as (at, name):
                if entry.kind == LINK:
                    at.symlink(entry.target, name)
                elif entry.kind == FILE:
                    with open(at.create(name), "wb") as file, open(store.objects.open(entry), "rb") as source:
                        shutil.copyfileobj(source, file, 1 << 20)
                        mode = 0o755 if entry.mode & 0o100 else 0o644
                        os.fchmod(file.fileno(), mode if entry.mode & 0o077 else mode & 0o700)


def move_out(stage: str, folder: str, stem: str) -> None:
    """Move the files in `stage` into `folder`, replacing existing ones."""
    for name in names_of(stem):
        target = os.path.join(folder, name)
        if os.path.isdir(target) and not os.path.islink(target):
            shutil.rmtree(target)
        elif os.path.lexists(target):
            os.unlink(target)
        if os.path.lexists(os.path.join(stage, name)):
            os.rename(os.path.join(stage, name), target)
