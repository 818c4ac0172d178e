"""The text of a recipe that was written for an instance, and the files that lie beside it."""

from __future__ import annotations

import os
import shutil
import time
from collections import Counter
from collections.abc import Iterable

from envbuild.drift.file_lines import RecipeFile
from envbuild.drift.statement_text import Line, shown, word
from envbuild.drift.unexpressed import GIT, NOISE, RECORD, SCRIPT, Told
from envbuild.errors import UsageError
from envbuild.linux.nofollow import Folder
from envbuild.record import Record
from envbuild.store.store import Store
from envbuild.tree.entry import FILE, LINK, Digest

_FOLDED = (RECORD, SCRIPT, GIT)
_PATTERNS = 4
"""Patterns of a rule that are proposed; of one that has more, so many of the paths."""


class Dropped(Record):
    """A line that could not be built, and why: the same is expressed by files."""

    line: Line
    reason: str


class InTheWay(UsageError):
    """A file that would be written is there already."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} exists already", "give another name or --output, or replace it with --force")


def recipe_text(
    head: Iterable[str], base: Digest, lines: Iterable[Line], told: Iterable[Told], dropped: Iterable[Dropped]
) -> str:
    """The whole text: `head` are its first comments, `base` is the image that it starts from."""
    parts = [*(f"# {_clean(one)}" for one in head), f"from image:sha256:{base}", *(line.text for line in lines)]
    parts += [f"#{_clean(one)}".rstrip() for one in _remarks(list(told), list(dropped))]
    return "\n".join(parts) + "\n"


def _clean(text: str) -> str:
    """A line without what a recipe may not hold: others' words are in it."""
    return "".join(one if one.isprintable() else "?" for one in text)


def _remarks(told: list[Told], dropped: list[Dropped]) -> list[str]:
    found: list[str] = []
    if dropped:
        found += ["", " What these lines would bring could not be built, and is copied as files:"]
        for failed in dropped:
            found += [f"   {one}" for one in failed.line.text.splitlines()]
            found += [f"     {failed.reason}"]
    noise = [one for one in told if one.kind == NOISE]
    if noise:
        found += ["", " Noise, which nothing above brings. Where something brings it, these lines keep it out"]
        found += [" (and what the image itself has there):"]
        counts = Counter(one.rule for one in noise if one.rule is not None)
        for rule, count in counts.items():
            patterns = list(rule.patterns)
            if len(patterns) > _PATTERNS:
                patterns = sorted({shown(one.change.path) for one in noise if one.rule == rule})[:_PATTERNS]
            found.append(f" discard {' '.join(map(word, patterns))}  # {rule.name}, {count}: {rule.reason}")
    rest = [one for one in told if one.kind != NOISE]
    if rest:
        found += ["", " Not expressed:"]
        for kind in _FOLDED:
            same = [one for one in rest if one.kind == kind]
            if same:
                found.append(f"   {shown(same[0].change.path)} and its like, {len(same)} in all: {same[0].reason}")
        found += [f"   {shown(one.change.path)}  {one.reason}" for one in rest if one.kind not in _FOLDED]
    return found


def head_of(recipe: str, instance: str, reference: str, tag: str, now: float) -> list[str]:
    """The first comments of a recipe."""
    day = time.strftime("%Y-%m-%d", time.gmtime(now))
    return [
        f"{recipe} - what was changed by hand in the instance {instance}, which is the image {tag}",
        f"Written by `envbuild commit {instance}` on {day}. It runs {reference}, which was this image on that day:",
    ]


def refuse_to_overwrite(folder: str, stem: str) -> None:
    """Raises InTheWay where something would be replaced."""
    for name in names_of(stem):
        if os.path.lexists(os.path.join(folder, name)):
            raise InTheWay(os.path.join(folder, name))


def names_of(stem: str) -> tuple[str, ...]:
    """All that may be written for a recipe that is called so."""
    return (f"{stem}.env", f"{stem}.files", f"{stem}.odd")


def lay_out(store: Store, folder: str, laid: Iterable[RecipeFile]) -> None:
    """Writes the files that lines copy into a folder. What was for its owner's eyes alone is so here."""
    with Folder(folder) as top:
        for one in laid:
            entry = one.entry
            # Folders get the mode that git gives them, whatever the umask is.
            with top.below(os.fsdecode(one.place)) as (at, name):
                if entry.kind == LINK:
                    at.symlink(entry.target, name)
                elif entry.kind == FILE:
                    with open(at.create(name), "wb") as file, open(store.objects.open(entry), "rb") as source:
                        shutil.copyfileobj(source, file, 1 << 20)
                        mode = 0o755 if entry.mode & 0o100 else 0o644
                        os.fchmod(file.fileno(), mode if entry.mode & 0o077 else mode & 0o700)


def move_out(stage: str, folder: str, stem: str) -> None:
    """Moves what was written in `stage` into the folder beside it, in the place of what may be there."""
    for name in names_of(stem):
        target = os.path.join(folder, name)
        if os.path.isdir(target) and not os.path.islink(target):
            shutil.rmtree(target)
        elif os.path.lexists(target):
            os.unlink(target)
        if os.path.lexists(os.path.join(stage, name)):
            os.rename(os.path.join(stage, name), target)
