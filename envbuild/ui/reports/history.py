"""Entries of a history as lines and as plain data."""

from __future__ import annotations

from envbuild.history.log import LogEntry
from envbuild.store.tags import BUILD, COMMIT, ROLLBACK, TAG, HistoryEntry
from envbuild.ui.humanize import count, duration, iso
from envbuild.ui.sanitize import visible
from envbuild.ui.stream import Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def one_line(one: LogEntry, output: Output) -> str:
    """Return `web:latest@{1} 8e33e8253967 2026-11-24T14:00:00Z build of web.env`."""
    digest = (one.entry.image or "-")[:12]
    name = output.paint(f"{one.entry.full}@{{{one.back}}}", "note")
    return f"{name}  {digest:12}  {iso(one.entry.moved)}  {visible(_action(one.entry))}"


def lines(one: LogEntry, output: Output) -> list[str]:
    """Return an entry in full, with an empty line behind it."""
    known = one.entry.known
    found = [one_line(one, output)]
    build = one.route[0] if one.route else one.entry
    origin = build.known
    if one.commit:
        branch = f" ({visible(origin['branch'])})" if origin.get("branch") else ""
        dirty = "" if one.committed else ", with changes that were never committed"
        found.append(f"    git      {one.commit[:12]}{branch} {visible(origin.get('file', ''))}{dirty}")
    by = visible(known.get("user", ""))
    if one.entry.action == BUILD and "seconds" in known:
        ran = f"{count(known.get('ran', 0), 'step')} ran, {known.get('cached', 0)} cached"
        by = f"{by + ', ' if by else ''}{ran}, {duration(known['seconds'])}"
    if by:
        found.append(f"    by       {by}")
    if one.route:
        way = [f"{step.full} {iso(step.moved)} ({visible(_action(step))})" for step in one.route]
        found.append(f"    way      {' -> '.join(way)}")
    if one.change:
        found.append(f"    changed  {visible(one.change)}")
    if one.entry.image is not None and not one.in_store:
        found.append(output.paint("    this image is no longer in the store", "dim"))
    return [*found, ""]


def plain(one: LogEntry) -> dict[str, Any]:
    """Return the documented JSON form (docs/commands.md)."""
    return {
        "back": one.back,
        "name": one.entry.full,
        "image": f"sha256:{one.entry.image}" if one.entry.image else None,
        "moved": iso(one.entry.moved),
        "action": one.entry.action.split()[0],
        "in_store": one.in_store,
        "changed": one.change,
        **one.entry.known,
        "commit": one.commit,
        "committed": one.committed,
        "way": [
            {"name": step.full, "moved": iso(step.moved), "action": step.action, **step.known} for step in one.route
        ],
    }


def _action(entry: HistoryEntry) -> str:
    known = entry.known
    if entry.action == BUILD:
        return f"build of {known.get('recipe', '')}".removesuffix(" of ")
    if entry.action == TAG:
        return f"tag of {known.get('source', '')}".removesuffix(" of ")
    if entry.action == COMMIT:
        return f"commit of the instance {known.get('instance', '')}"
    if entry.action == ROLLBACK:
        return f"rollback to {known['to']}" if known.get("to") else "rollback"
    return entry.action
