"""The reasons for a path of an image, as lines and as plain data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from envbuild.history.authorship import STATEMENT, Credit
from envbuild.history.blame import Blame, Touch
from envbuild.history.capture_blame import CaptureBlame, Past, about
from envbuild.history.line_blame import Line
from envbuild.history.package_log import PackageAction
from envbuild.packages.inventory.owner import Owner
from envbuild.store.images import Image
from envbuild.store.tags import CAPTURE, HistoryEntry
from envbuild.text.dates import iso
from envbuild.text.sizes import format_size
from envbuild.tree.entry import FILE, KIND_WORDS, LINK
from envbuild.ui.reports.history import action_text
from envbuild.ui.sanitize import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from envbuild.git.repository import Author

MAX_ACTIONS = 8
"""Actions of the package manager that are shown."""
_MAX_ACTION = 40
"""Columns of what an entry of the history was, beside a line."""
Row = tuple[str, str]


def reason_rows(reasons: Blame) -> Iterator[Row]:
    """Yield what is said of a path of an image that a recipe made: a word, and the text behind it."""
    removal = reasons.removal
    if removal is not None:
        yield from _touches(removal.touches)
        yield "removed", f"with {_moved(removal.entry, removal.back)}"
        if removal.author is not None:
            yield "by", _author(removal.author)
        return
    yield from _touches(reasons.touches)
    if not reasons.touches:
        yield "made", "by a step whose tree is no longer in the store; build the recipe again to see which"
    if reasons.entry is not None:
        yield "package", _package(reasons.owner)
    if reasons.credit is not None:
        yield "written", _written(reasons.credit)
    if reasons.since is not None:
        yield "so since", _moved(reasons.since, reasons.back)


def capture_rows(reasons: CaptureBlame, owner: Owner | None, *, everything: bool = False) -> Iterator[Row]:
    """Yield what is said of a path of a capture; with `everything` all that the package manager did."""
    since, before, shipped = reasons.since, reasons.before, reasons.shipped
    if since is not None:
        yield ("gone with" if since.entry is None else "so since"), _moved(since.move, since.back)
        if before is None:
            yield "before", "nothing is known: that is the first capture"
        else:
            yield "before", f"{_content(before)}, in {_moved(before.move, before.back)}"
    if since is None or since.entry is not None:
        package = _package(owner) if owner is not None or shipped is None else shipped.package
        states = {True: "as it shipped it", False: "not as it shipped it", None: ""}
        said = states[reasons.as_shipped] if shipped is not None else ""
        yield "package", f"{package}{f', {said}' if said else ''}"
    actions = about(reasons.actions, owner, shipped)
    shown = actions if everything else actions[:MAX_ACTIONS]
    for number, action in enumerate(shown):
        yield "" if number else "meanwhile", _action(action)
    if len(actions) > len(shown):
        yield "", f"and {len(actions) - len(shown)} more (--all)"


def line_rows(lines: Iterable[Line]) -> Iterator[str]:
    """Yield each line of a file behind the entry that it came with."""
    rows = [_came_with(line) for line in lines]
    widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
    widths[1] = min(widths[1], _MAX_ACTION)
    for (place, action), line in zip(rows, lines, strict=True):
        yield f"{place:{widths[0]}}  {visible(action)[: widths[1]]:{widths[1]}}  {visible(line.text)}".rstrip()


def _came_with(line: Line) -> Row:
    if line.entry is None:
        return "", ""
    return f"@{{{line.back}}} {iso(line.entry.moved)}", action_text(line.entry)


def why_plain(path: str, image: Image, reasons: Blame) -> dict[str, Any]:
    """Return the documented JSON form (docs/commands.md)."""
    owner, credit, since, removal = reasons.owner, reasons.credit, reasons.since, reasons.removal
    return {
        "path": path,
        "image": f"sha256:{image.digest}",
        "exists": reasons.entry is not None,
        "touches": [_plain_touch(touch) for touch in reasons.touches],
        "package": {"kind": owner.kind, "name": owner.name, "version": owner.version} if owner else None,
        "author": _plain_author(credit.author) if credit is not None else None,
        "credit": {"what": credit.what, "uncommitted": credit.uncommitted, "set": credit.set, "shallow": credit.shallow}
        if credit is not None
        else None,
        "since": _plain_move(since, reasons.back) if since else None,
        "removal": {
            **_plain_move(removal.entry, removal.back),
            "touches": [_plain_touch(touch) for touch in removal.touches],
            "author": _plain_author(removal.author),
        }
        if removal is not None
        else None,
    }


def capture_plain(reasons: CaptureBlame, owner: Owner | None, diff: list[str]) -> dict[str, Any]:
    """Return the documented JSON form of what else is known of a capture's path."""
    shipped = reasons.shipped
    return {
        "since": _plain_past(reasons.since),
        "before": _plain_past(reasons.before),
        "shipped": {"package": shipped.package, "as_shipped": reasons.as_shipped} if shipped is not None else None,
        "log": [
            {
                "time": iso(action.moment),
                "command": action.command,
                "verb": action.verb,
                "package": action.package,
                "old": action.old,
                "new": action.new,
            }
            for action in about(reasons.actions, owner, shipped)
        ],
        "diff": diff,
    }


def lines_plain(lines: Iterable[Line]) -> list[dict[str, Any]]:
    """Return the documented JSON form of the lines of a file."""
    return [
        {
            "line": number,
            "text": line.text,
            "since": {**_plain_move(line.entry, line.back), "action": action_text(line.entry)} if line.entry else None,
        }
        for number, line in enumerate(lines, 1)
    ]


def _touches(touches: Iterable[Touch]) -> Iterator[Row]:
    for touch in touches:
        maker = touch.maker
        place = f"{maker.file}:{maker.line}: " if maker.file else ""
        head, _, more = maker.text.strip().partition("\n")
        yield touch.verb, f"{place}{head}{' ...' if more else ''}  (stage {maker.stage})"


def _package(owner: Owner | None) -> str:
    return f"{owner.name} {owner.version} ({owner.kind})" if owner else "none"


def _content(past: Past) -> str:
    entry = past.entry
    if entry is None:
        return "not there"
    if entry.kind == FILE:
        return f"{format_size(entry.size)}, mode {entry.mode:04o}, owner {entry.uid}:{entry.gid}"
    if entry.kind == LINK:
        return f"a link to {entry.target.decode('utf-8', 'backslashreplace')}"
    return KIND_WORDS[entry.kind]


def _action(action: PackageAction) -> str:
    versions = f"{action.old} -> {action.new}" if action.old and action.new else action.old or action.new
    command = action.command or "dpkg"
    return f"{iso(action.moment)}  {action.verb} {action.package} {versions}  ({command})"


def _written(credit: Credit) -> str:
    what = "the line" if credit.what == STATEMENT else credit.what
    if credit.uncommitted:
        return f"in no commit: {what} was changed when the image was built"
    if credit.set:
        return f"in no commit: {what} was set on the command line when the image was built (--set)"
    if credit.author is None:
        return f"before this shallow clone begins ({what}): git fetch --unshallow"
    return f"by {_author(credit.author)}" + ("" if credit.what == STATEMENT else f" ({credit.what})")


def _author(author: Author) -> str:
    return f"{author.name}, {iso(author.time)}, commit {author.commit[:12]}: {author.summary}"


def _moved(entry: HistoryEntry, back: int) -> str:
    action = action_text(entry) if entry.action == CAPTURE else entry.action
    return f"{entry.full}@{{{back}}}, {iso(entry.moved)} ({action})"


def _plain_touch(touch: Touch) -> dict[str, Any]:
    maker = touch.maker
    return {"verb": touch.verb, "stage": maker.stage, "text": maker.text, "file": maker.file, "line": maker.line}


def _plain_author(author: Author | None) -> dict[str, Any] | None:
    if author is None:
        return None
    return {"name": author.name, "commit": author.commit, "time": iso(author.time), "summary": author.summary}


def _plain_move(entry: HistoryEntry, back: int) -> dict[str, Any]:
    return {"name": entry.full, "back": back, "moved": iso(entry.moved)}


def _plain_past(past: Past | None) -> dict[str, Any] | None:
    if past is None:
        return None
    return {
        **_plain_move(past.move, past.back),
        "reason": str(past.move.known.get("reason", "")),
        "exists": past.entry is not None,
    }
