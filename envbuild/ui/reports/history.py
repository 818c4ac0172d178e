"""Entries of a history as lines and as plain data."""

from __future__ import annotations

from envbuild.history.log import LogEntry
from envbuild.store.tags import (
    BUILD,
    CAPTURE,
    COMMIT,
    IMPORT,
    MERGE,
    PROMOTE,
    PULL,
    REBASE,
    ROLLBACK,
    TAG,
    HistoryEntry,
)
from envbuild.text.dates import iso
from envbuild.text.enumeration import first_of
from envbuild.ui.humanize import count, duration
from envbuild.ui.reports.promotions import line
from envbuild.ui.sanitize import visible
from envbuild.ui.stream import Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


_MAX_CHECKS = 8
"""Checks of a promotion that are shown."""


def one_line(log_entry: LogEntry, output: Output, here: str = "") -> str:
    """Return `web:latest@{1} 8e33e8253967 2026-11-24T14:00:00Z build of web.env`, for a reader in the project with the
    name `here`, whose names have no project before them."""
    digest = (log_entry.entry.image or "-")[:12]
    name = output.paint(f"{_full(log_entry.entry, here)}@{{{log_entry.back}}}", "note")
    return f"{name}  {digest:12}  {log_entry.moment}  {visible(action_text(log_entry.entry))}"


def lines(log_entry: LogEntry, output: Output, here: str = "") -> list[str]:
    """Return an entry in full, with an empty line behind it; `here` is as for `one_line`."""
    known = log_entry.entry.known
    shown = [one_line(log_entry, output, here)]
    build = log_entry.route[0] if log_entry.route else log_entry.entry
    origin = build.known
    if log_entry.commit:
        branch = f" ({visible(origin['branch'])})" if origin.get("branch") else ""
        dirty = "" if log_entry.committed else ", with changes that were never committed"
        shown.append(f"    git      {log_entry.commit[:12]}{branch} {visible(origin.get('file', ''))}{dirty}")
    by = visible(known.get("user", ""))
    if log_entry.entry.action == BUILD and "seconds" in known:
        ran = f"{count(known.get('ran', 0), 'step')} ran, {known.get('cached', 0)} cached"
        by = f"{by + ', ' if by else ''}{ran}, {duration(known['seconds'])}"
    if by and known.get("host"):
        by = f"{by}@{visible(known['host'])}"
    if by:
        shown.append(f"    by       {by}")
    if known.get("checks"):
        shown.append(f"    passed   {first_of([visible(check) for check in known['checks']], _MAX_CHECKS)}")
    shown += [f"    claimed  {line(promotion)}" for promotion in known.get("promotions", ())]
    if log_entry.route:
        way = [f"{_full(step, here)} {iso(step.moved)} ({visible(action_text(step))})" for step in log_entry.route]
        shown.append(f"    way      {' -> '.join(way)}")
    if log_entry.change:
        shown.append(f"    changed  {visible(log_entry.change)}")
    if log_entry.entry.image is not None and not log_entry.in_store:
        shown.append(output.paint("    this image is no longer in the store", "dim"))
    return [*shown, ""]


def _full(entry: HistoryEntry, here: str) -> str:
    return entry.full.removeprefix(f"{here}/") if here else entry.full


def plain(log_entry: LogEntry) -> dict[str, Any]:
    """Return the documented JSON form (docs/commands.md)."""
    name, project = log_entry.entry.full, log_entry.project
    return {
        "back": log_entry.back,
        "name": name,
        "project": {"name": name.partition("/")[0], "path": project.path} if project is not None else None,
        "image": f"sha256:{log_entry.entry.image}" if log_entry.entry.image else None,
        "moved": log_entry.moment,
        "action": log_entry.entry.action.split()[0],
        "in_store": log_entry.in_store,
        "changed": log_entry.change,
        **log_entry.entry.known,
        "commit": log_entry.commit,
        "committed": log_entry.committed,
        "way": [
            {"name": step.full, "moved": iso(step.moved), "action": step.action, **step.known}
            for step in log_entry.route
        ],
    }


def action_text(entry: HistoryEntry) -> str:
    known = entry.known
    if entry.action == BUILD:
        return f"build of {known.get('recipe', '')}".removesuffix(" of ")
    if entry.action == TAG:
        return f"tag of {known.get('source', '')}".removesuffix(" of ")
    if entry.action == PROMOTE:
        return f"promoted from {known.get('source', '')}"
    if entry.action == MERGE:
        return f"merge of {known.get('from', '')} into {known.get('source', '')}"
    if entry.action == REBASE:
        return f"rebase of {known.get('source', '')} onto {known.get('to', '')}"
    if entry.action == COMMIT:
        return f"commit of the instance {known.get('instance', '')}"
    if entry.action == CAPTURE:
        reason = known.get("reason", "")
        return f"capture: {reason}" if reason else "capture"
    if entry.action == IMPORT:
        return f"import of {known.get('file', '')}".removesuffix(" of ")
    if entry.action == PULL:
        return f"pull of {known.get('reference', '')}".removesuffix(" of ")
    if entry.action == ROLLBACK:
        return f"rollback to {known['to']}" if known.get("to") else "rollback"
    return entry.action
