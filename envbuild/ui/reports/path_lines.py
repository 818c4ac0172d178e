"""Paths that differ, each as a line: what happened to it, what differs, and what a reader should know of it."""

from __future__ import annotations

from collections.abc import Iterator

from envbuild.text.sizes import format_size
from envbuild.text.width import columns, cut, cut_middle, pad
from envbuild.ui.sanitize import visible
from envbuild.ui.stream import Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LETTERS = {"added": "A", "removed": "D", "changed": "M"}
_STYLES = {"added": "good", "removed": "error", "changed": "note"}
_ASPECTS = ("kind", "mode", "owner", "target", "xattrs", "content", "time")
_EDITED = {"+": "good", "-": "error"}
MAX_EDITED = 6
"""Lines of an edited file that a first view shows."""
_ALIGNED = 44
"""Columns up to which paths stand in a column of their own."""
_MIN_PATH = 30
"""Columns that a path keeps on a narrow screen, whatever else its line says."""


def path_lines(
    paths: list[dict[str, Any]], output: Output, width: int | None = None, indent: str = "", *, times: bool = False
) -> Iterator[str]:
    """Yield the lines, each in at most `width` columns if that is known: a path loses its middle before its line loses
    its end. With `times` it is also said where a time differs beside something else."""
    for path in paths:
        yield _line(path, visible(path["path"]), output, width, indent, times=times)


def notice_lines(
    notices: list[dict[str, Any]], output: Output, width: int | None, indent: str, left: int | None = None
) -> Iterator[str]:
    """Yield the lines of notices, with what differs in a column of its own. Below them stand the lines of files that
    are known to differ, at most `left` in all (None for any number): those of a file together, or none of them."""
    names = [visible(notice["path"]) for notice in notices]
    limit = _ALIGNED if width is None else min(_ALIGNED, width // 3)
    aligned = max((columns(name) for name in names if columns(name) <= limit), default=0)
    for notice, name in zip(notices, names, strict=True):
        yield _line(notice, pad(name, aligned), output, width, indent)
        lines = edited_lines(notice, output, width, indent, everything=left is None)
        if left is None or len(lines) <= left:
            yield from lines
            left = None if left is None else left - len(lines)


def edited_lines(
    path: dict[str, Any], output: Output, width: int | None, indent: str, *, everything: bool = False
) -> list[str]:
    """Return the lines of an edited file that are known to differ, none if they are more than a first view shows."""
    lines = path.get("lines", [])
    if len(lines) > MAX_EDITED and not everything:
        return []
    shown = [visible(line) if width is None else cut(visible(line), width - len(indent) - 4) for line in lines]
    return [f"{indent}    {output.paint(line, _EDITED[line[0]])}" for line in shown]


def _line(
    path: dict[str, Any], name: str, output: Output, width: int | None, indent: str, *, times: bool = False
) -> str:
    details = ", ".join(_details(path, times=times or path["what"] == ["time"]))
    reason, package = visible(path.get("reason", "")), visible(path.get("package", ""))
    named = f"({package})" if package and package not in reason else ""
    about = "; ".join(filter(None, (f"{reason} {named}".strip(), details)))
    if not reason and details:
        about = f"{details} {named}".rstrip()
    if width is not None:
        left = width - len(indent) - 2
        name = cut_middle(name, max(_MIN_PATH, left - columns(about) - 2))
        about = cut(about, left - columns(name) - 2)
    letter = output.paint(_LETTERS[path["verb"]], _STYLES[path["verb"]])
    return f"{indent}{letter} {name}  {about}".rstrip()


def _details(difference: dict[str, Any], *, times: bool) -> Iterator[str]:
    old, new = difference.get("old", {}), difference.get("new", {})
    if difference["verb"] != "changed":
        either = new or old
        if difference["kind"] != "file":
            yield difference["kind"]
            if "target" in either:
                yield f"-> {visible(either['target'])}"
        else:
            yield format_size(either["size"])
        if int(either["mode"], 8) & 0o6000 and difference["kind"] != "directory":
            yield f"mode {either['mode']}"
        return
    # What is cut off on a narrow screen is what matters least.
    for what in sorted(difference["what"], key=_ASPECTS.index):
        if what == "content":
            same = old["size"] == new["size"]
            yield (
                f"content, {format_size(new['size'])}"
                if same
                else f"content, {format_size(old['size'])} -> {format_size(new['size'])}"
            )
        elif what == "mode":
            yield f"mode {old['mode']} -> {new['mode']}"
        elif what == "owner":
            yield f"owner {old['uid']}:{old['gid']} -> {new['uid']}:{new['gid']}"
        elif what == "target":
            yield f"target {visible(old['target'])} -> {visible(new['target'])}"
        elif what != "time" or times:
            yield what
