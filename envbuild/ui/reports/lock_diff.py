"""The difference of two locks as `git diff` shows it: what a reader must not miss, then the readable texts."""

from __future__ import annotations

from collections.abc import Iterator

from envbuild.history.line_diff import unified
from envbuild.history.network_changes import HOST, MODE, MORE, network_changes
from envbuild.lockfile.lock import BadLock, Lock, readable
from envbuild.lockfile.lock_file import parse
from envbuild.packages.pin_changes import pin_changes
from envbuild.store.network_record import NetworkRecord
from envbuild.ui.reports.terminal import NETWORK_WORDS
from envbuild.ui.sanitize import visible
from envbuild.ui.stream import Output

MAX_SHOWN = 100
"""Changes of a kind that come before the difference."""


def lock_diff(path: str, old: str, new: str, output: Output) -> Iterator[str]:
    """Yield the lines of the difference of two locks' texts, "" for one that is not there. Texts that are no locks are
    compared as they are."""
    name = visible(path)
    yield output.paint(f"diff of {name}", "strong")
    locks = _parsed(old, path), _parsed(new, path)
    if locks[1] is not None and (locks[0] is not None or not old):
        yield from _first(locks[0], locks[1], output)
        if locks[0] is not None:
            yield from _network(locks[0], locks[1], output)
    before, after = (readable(lock) if lock is not None else text for lock, text in zip(locks, (old, new), strict=True))
    changed = list(unified(_lines(before), _lines(after)))
    if not changed:
        yield output.paint("only what follows from other lines differs: keys and trees", "dim")
        return
    yield output.paint(f"--- a/{name}" if old else "--- /dev/null", "strong")
    yield output.paint(f"+++ b/{name}" if new else "+++ /dev/null", "strong")
    styles = {"@": "note", "-": "removed", "+": "good"}
    for line in changed:
        yield output.paint(visible(line), styles[line[0]]) if line[0] in styles else visible(line)


def _first(old: Lock | None, new: Lock, output: Output) -> Iterator[str]:
    changes = pin_changes(old, new)
    for style, listed in (
        ("error", [change for change in changes if change.alarming]),
        ("warning", [change for change in changes if not change.alarming]),
    ):
        for change in listed[:MAX_SHOWN]:
            yield output.paint(f"! {visible(change.text)}", style)
        if len(listed) > MAX_SHOWN:
            yield output.paint(f"! and {len(listed) - MAX_SHOWN} more", style)


def _network(old: Lock, new: Lock, output: Output) -> Iterator[str]:
    """Yield how the steps reach further than before. What they were answered stands in the texts."""
    reaching = [
        change
        for change in network_changes(*(_records(lock) for lock in (old, new)))
        if change.verb == "added" and change.kind in (MODE, HOST, MORE)
    ]
    for change in reaching[:MAX_SHOWN]:
        yield output.paint(f"! {NETWORK_WORDS[change.kind, change.verb]} {visible(change.name)}", "warning")
    if len(reaching) > MAX_SHOWN:
        yield output.paint(f"! and {len(reaching) - MAX_SHOWN} more", "warning")


def _records(lock: Lock) -> list[NetworkRecord]:
    return [record for section in (lock.own, *lock.others) for record in section.results.network.values()]


def _parsed(text: str, path: str) -> Lock | None:
    try:
        return parse(text, path) if text else None
    except BadLock:
        return None


def _lines(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n") if text else []
