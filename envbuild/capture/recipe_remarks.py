"""The comments at the end of a machine's recipe: packages that differ, files that are too large, and what the capture
itself lacks."""

from __future__ import annotations

from collections.abc import Iterable

from envbuild.capture.machine_rules import LARGE, OWNER
from envbuild.capture.unknown_paths import UnknownPaths
from envbuild.drift.ignore_rules import is_directory
from envbuild.drift.recipe_writer import RecipeLines
from envbuild.drift.statement_text import shown, word
from envbuild.drift.unexpressed import Unexpressed
from envbuild.history.explained_changes import PackageDifference
from envbuild.images.capture_record import Missing
from envbuild.packages.inventory.component import DPKG

MAX_SHOWN = 8
"""Paths that are named of a reason."""


def package_remarks(packages: Iterable[PackageDifference]) -> list[str]:
    """Return a line for each package in which the lines differ from the machine."""
    lines = []
    for difference in packages:
        old, new = difference.change.old, difference.change.new
        name = difference.change.package.name
        where = difference.change.package.where
        what = f"{name} in /{where}" if where else name
        rebuilt = difference.change.verb == "rebuilt"
        if rebuilt and difference.change.package.kind != DPKG:
            continue  # bytecode that pip made has the time of its source in it
        if old is None and new is not None:
            lines.append(f"{what} {new.version}: no source here has it")
        elif new is None and old is not None:
            lines.append(f"{what} {old.version}: the machine does not have it")
        elif rebuilt and new is not None:
            lines.append(f"{what} {new.version}: other files of the same version")
        elif old is not None and new is not None:
            lines.append(f"{what} {new.version}: the lines give {old.version}")
    return lines


def remarks_of(written: RecipeLines, packages: Iterable[str], unknown: UnknownPaths, stem: str) -> list[str]:
    """Return the comments, without the sign before them."""
    remarks = []
    differing = list(packages)
    if differing:
        remarks += ["", " Packages that are not as on the machine:", *(f"   {line}" for line in differing)]
    owners = sum(path.kind == OWNER for path in written.unexpressed)
    if owners:
        remarks += ["", f" Of system users that have other numbers than on the machine: {owners} paths"]
    large = _topmost(path for path in written.unexpressed if path.kind == LARGE)
    if large:
        remarks += ["", " Too large to be copied beside the recipe (--max-size):"]
        for path in large:
            name = shown(path.change.path)
            slash = "/" if is_directory(path.change) else ""
            source, size = word(f"{stem}.files{name}{slash}"), path.detail.partition(",")[0]
            remarks.append(f"   copy {source} -> {word(name + slash)}  # {size}")
    for rows, what in ((unknown.left_out, "left out of the capture"), (unknown.unread, "not read by the capture")):
        if rows:
            remarks += ["", f" What was {what}, and so is not known:"]
            remarks += [f"   {line}" for line in _by_reason(rows)]
    return remarks


def _by_reason(rows: Iterable[Missing]) -> list[str]:
    """Return a line for each reason, with the first of its paths."""
    paths: dict[str, list[str]] = {}
    for row in rows:
        paths.setdefault(row.reason, []).append(shown(row.path))
    return [
        f"{reason}: {' '.join(same[:MAX_SHOWN])}{f' and {len(same) - MAX_SHOWN} more' if len(same) > MAX_SHOWN else ''}"
        for reason, same in paths.items()
    ]


def _topmost(paths: Iterable[Unexpressed]) -> list[Unexpressed]:
    """Return the paths that lie in none of the others."""
    top: list[Unexpressed] = []
    for path in sorted(paths, key=lambda path: path.change.path.split(b"/")):
        if not top or not path.change.path.startswith(top[-1].change.path + b"/"):
            top.append(path)
    return top
