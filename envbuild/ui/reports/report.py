"""A comparison as plain data: the documented JSON form (docs/commands.md), from which all other forms are made."""

from __future__ import annotations

from collections.abc import Iterable

from envbuild.history.compare import Comparison, by_folder
from envbuild.history.explained_changes import PackageDifference
from envbuild.history.notices import CONFIGURATION, PACKAGE, Notice
from envbuild.history.operand import Operand
from envbuild.history.package_changes import Package
from envbuild.record import values
from envbuild.tree.diff import Change, aspects
from envbuild.tree.entry import FILE, KIND_WORDS, ROOT_NAME, Entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from envbuild.history.causes import Causes
    from envbuild.history.review import Review
    from envbuild.history.state_changes import StateChange
    from envbuild.packages.pin_changes import PinChange


NOT_IN_STORE = "not in this store"
GENERATED = "generated"
"""The cause of paths that programs write by themselves."""
UNCOMPARED = "not compared"
"""That of paths that one of two captures did not take."""
NOT_KNOWN = "git merged its lock, and its image is not known until a build"


def report_of(
    comparison: Comparison,
    *,
    files: bool = False,
    texts: Iterable[str] | None = None,
    statements: list[str] | None = None,
) -> dict[str, Any]:
    """Return the comparison; with `files` also every path that differs, `texts` and `statements` as their diffs have
    them."""
    report: dict[str, Any] = {
        "old": _side(comparison.old),
        "new": _side(comparison.new),
        "same": comparison.same,
        "unknown": comparison.unknown,
        "whole": comparison.whole,
        "facts": [{"name": fact.name, "old": fact.old, "new": fact.new} for fact in comparison.facts],
        "packages": [_package(package) for package in comparison.packages],
        "notices": [_notice(notice, comparison.machine) for notice in comparison.notices],
        "unexplained": [path_of(change) for change in comparison.rest],
        "folders": _folders(comparison.rest),
        "other_folders": _folders(comparison.others),
        "bad_records": [
            {"kind": record.kind, "path": record.path, "reason": record.reason} for record in comparison.bad
        ],
        "records": len(comparison.records),
        "times": len(comparison.times),
        "unread": len(comparison.unread),
    }
    if comparison.machine is not None:
        report |= machine_of(comparison.machine)
    if comparison.network:
        names = ("kind", "verb", "name", "old", "new")
        report["network"] = [dict(zip(names, values(package), strict=True)) for package in comparison.network]
    if files:
        owners = {
            change.path: package.change.package.name for package in comparison.packages for change in package.changes
        }
        causes = cause_names(comparison.machine) if comparison.machine is not None else {}
        report["files"] = [
            {
                **path_of(change),
                "package": owners.get(change.path, ""),
                **({"cause": causes[change.path]} if change.path in causes else {}),
            }
            for change in comparison.changes
        ]
    if texts is not None:
        report["texts"] = texts
    if statements is not None:
        report["statements"] = statements
    return report


def not_compared(report: dict[str, Any]) -> list[tuple[str, str]]:
    """Return (name, reason) of each side whose image can't be compared, so that only the locks are."""
    sides = [side for side in (report["old"], report["new"]) if not side["in_store"]]
    return [(side["name"], NOT_IN_STORE if side["image"] else NOT_KNOWN) for side in sides]


def review_plain(recipe: Review) -> dict[str, Any]:
    """Return the documented form of what `git check` found about one recipe."""
    from envbuild.history.recipe_diff import statement_changes
    from envbuild.history.review import outdated  # git, which `diff` of images does without

    report = None
    if recipe.comparison is not None:
        statements = statement_changes(recipe.comparison.old, recipe.comparison.new)
        report = report_of(recipe.comparison, statements=statements)
    return {
        "recipe": recipe.path,
        "state": recipe.state,
        "outdated": outdated(recipe.state),
        "proven": recipe.proven,
        "reasons": list(recipe.reasons),
        "pins": [_pin(change) for change in recipe.pins],
        "notes": list(recipe.notes),
        "added": recipe.old is None,
        "removed": recipe.new is None,
        "report": report,
    }


def _pin(change: PinChange) -> dict[str, Any]:
    names = ("kind", "stage", "manager", "name", "version", "old", "new", "text", "alarming")
    return dict(zip(names, values(change), strict=True))


def path_of(change: Change) -> dict[str, Any]:
    """Return one path that differs: `verb` is added, removed or changed, `what` names the aspects of a changed one."""
    before, after = change.before, change.after
    either = after or before
    assert either is not None
    verb = "added" if before is None else "removed" if after is None else "changed"
    plain: dict[str, Any] = {
        "path": "/" if change.path == ROOT_NAME else "/" + change.path.decode("utf-8", "backslashreplace"),
        "verb": verb,
        "kind": KIND_WORDS[either.kind],
        "what": list(aspects(change)),
    }
    for name, entry in (("old", before), ("new", after)):
        if entry is not None:
            plain[name] = _entry(entry)
    return plain


def _folders(changes: Iterable[Change]) -> list[dict[str, Any]]:
    names = ("folder", "added", "removed", "changed", "old_size", "new_size")
    return [dict(zip(names, values(folder), strict=True)) for folder in by_folder(changes)]


def _notice(notice: Notice, machine: Causes | None) -> dict[str, Any]:
    plain = {
        **path_of(notice.change),
        "notice": notice.kind,
        "reason": notice.reason,
        "package": notice.package,
    }
    edit = machine.edits.get(notice.change.path) if machine is not None else None
    if edit is None:
        return plain
    reason = edit.words if notice.kind in (PACKAGE, CONFIGURATION) and edit.words else notice.reason
    return {**plain, "reason": reason, "package": notice.package or edit.package, "lines": list(edit.lines)}


def _entry(entry: Entry) -> dict[str, Any]:
    plain: dict[str, Any] = {"mode": f"{entry.mode:04o}", "uid": entry.uid, "gid": entry.gid}
    if entry.kind == FILE:
        plain |= {"size": entry.size, "digest": f"sha256:{entry.digest}"}
    if entry.target:
        plain["target"] = entry.target.decode("utf-8", "backslashreplace")
    return plain


def _side(side: Operand) -> dict[str, Any]:
    return {
        "name": side.label,
        "image": f"sha256:{side.image}" if side.image else "",
        "in_store": side.tree is not None,
    }


def _package(difference: PackageDifference) -> dict[str, Any]:
    package = difference.change.package
    return {
        "kind": package.kind,
        "name": package.name,
        "verb": difference.change.verb,
        "asked": difference.asked,
        "old": _version(difference.change.old),
        "new": _version(difference.change.new),
        "where": f"/{package.where}" if package.where else "",
        "files": len(difference.changes),
        "size": _size(difference.changes),
        **({"state": [_state(record) for record in difference.state]} if difference.state else {}),
    }


def machine_of(machine: Causes) -> dict[str, Any]:
    """Return what was done to a machine between two captures of it, beside packages."""
    return {
        "causes": [
            {
                "cause": cause.name,
                "records": [_state(record) for record in cause.records],
                "paths": [_listed(change, machine) for change in cause.listed],
                "folded": len(cause.folded),
            }
            for cause in machine.causes
        ],
        "passing": [_state(record) for record in machine.passing],
        "generated": len(machine.generated),
        "uncompared": len(machine.uncompared),
    }


def _listed(change: Change, machine: Causes) -> dict[str, Any]:
    edit = machine.edits.get(change.path)
    return {**path_of(change), **({"lines": list(edit.lines)} if edit is not None and edit.lines else {})}


def cause_names(machine: Causes) -> dict[bytes, str]:
    """Return the cause of each path that has one."""
    generated = dict.fromkeys((change.path for change in machine.generated), GENERATED)
    generated |= dict.fromkeys((change.path for change in machine.uncompared), UNCOMPARED)
    return generated | {change.path: cause.name for cause in machine.causes for change in cause.changes}


def _state(record: StateChange) -> dict[str, Any]:
    return {"kind": record.kind, "verb": record.verb, "fields": list(record.fields)}


def _version(package: Package | None) -> str | None:
    return None if package is None else package.version


def _size(changes: Iterable[Change]) -> int:
    return sum(entry.size for change in changes if (entry := change.after or change.before) is not None)
