"""What a capture came to, for a terminal and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from envbuild.capture.capture import Captured
from envbuild.images.capture_record import Missing
from envbuild.text.escapes import escaped
from envbuild.text.sizes import format_size
from envbuild.ui.humanize import count
from envbuild.ui.sanitize import visible


def capture_plain(captured: Captured) -> dict[str, Any]:
    """Return what a capture came to as JSON types."""
    left = captured.left
    return {
        "name": captured.name,
        "image": f"sha256:{captured.image.digest}",
        "same": captured.same,
        "files": captured.files,
        "size": captured.size,
        "left_out": _plain(captured.left_out),
        "unread": _plain(captured.unread),
        "left": None if left is None else {name: getattr(left, name) for name in ("files", "size", "packages", "kept")},
    }


def capture_lines(plain: dict[str, Any], *, left_out: bool, unread: bool) -> Iterator[str]:
    """Yield the lines for a terminal; what was left out, and what could not be read, only if asked for."""
    same = " (nothing changed)" if plain["same"] else ""
    digits = plain["image"].removeprefix("sha256:")[:12]
    yield f"{plain['name']} = {digits}: {count(plain['files'], 'file')}, {format_size(plain['size'])}{same}"
    if (left := plain["left"]) is not None:
        what = f"{count(left['files'], 'file')} of {count(left['packages'], 'package')}"
        if left["files"]:
            yield f"left to packages: {what}, {format_size(left['size'])}"
        if left["kept"]:
            yield f"stored all the same: what {count(left['kept'], 'package')} brought that apt can't get again"
    for key, listed, option, what in (
        ("left_out", left_out, "--left-out", "left out"),
        ("unread", unread, "--unread", "not read"),
    ):
        rows = plain[key]
        if listed:
            yield from (f"{what}: /{visible(row['path'])}: {visible(row['reason'])}" for row in rows)
        elif rows and key == "unread":
            yield f"{what}: {count(len(rows), 'path')} ({option} lists {'it' if len(rows) == 1 else 'them'})"


def _plain(missing: tuple[Missing, ...]) -> list[dict[str, str]]:
    return [{"path": escaped(row.path), "reason": row.reason} for row in missing]
