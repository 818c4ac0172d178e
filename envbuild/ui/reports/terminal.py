"""A comparison on a terminal: a summary that fits a screen, and the longer lists where they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from envbuild.text.sizes import format_size
from envbuild.text.width import columns, pad
from envbuild.ui.humanize import count
from envbuild.ui.reports.report import not_compared
from envbuild.ui.sanitize import visible
from envbuild.ui.stream import Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SHOWN_PACKAGES = 14
SHOWN_PATHS = 14
_GAP = "  "
_LETTERS = {"added": "A", "removed": "D", "changed": "M"}
VERBS = ("upgraded", "downgraded", "rebuilt", "removed", "added")
"""In the order in which they matter to a reader."""
_STYLES = {"+": "good", "-": "error", "@": "note"}


def lines_of(report: dict[str, Any], output: Output, *, everything: bool) -> Iterator[str]:
    """Return the lines of a report; with `everything` no list is cut."""
    if "statements" in report:
        yield from _diff(report["statements"], output)
        if not report["statements"]:
            yield "the recipes' statements are the same"
        return
    if "texts" in report:
        yield from _diff(report["texts"], output)
        return
    if "files" in report:
        yield from _paths(report["files"], output, len(report["files"]))
        return
    old, new = report["old"], report["new"]
    yield output.paint(f"{_named(old)}  ->  {_named(new)}", "strong")
    if report["same"]:
        yield "the same image"
        return
    if not report["whole"]:
        missing = "; ".join(f"{visible(name)}: {reason}" for name, reason in not_compared(report))
        yield output.paint(f"{missing}; so that only what the locks say is compared", "warning")
        if report["unknown"]:
            yield "they say the same; whether it is the same image can't be told"
    yield from _packages(report["packages"], output, everything)
    if report["facts"]:
        yield from ("", output.paint("facts", "strong"))
        yield from _aligned(
            [(fact["name"], f"{fact_text(fact['old'])} -> {fact_text(fact['new'])}") for fact in report["facts"]]
        )
    yield from _unexplained(report, output, everything)
    kept = []
    if report["records"]:
        kept.append(f"{count(report['records'], 'file')} that package managers keep for themselves")
    if report["times"]:
        kept.append(f"{count(report['times'], 'path')} with another time and nothing else")
    if kept:
        yield from ("", output.paint(f"also {' and '.join(kept)} (--files has all)", "dim"))
    yield from _bad_records(report["bad_records"], output, everything)
    if report["whole"] and not (report["packages"] or report["facts"] or report["unexplained"] or kept):
        yield "nothing that either tree holds differs"


def _named(side: dict[str, Any]) -> str:
    digits = side["image"].removeprefix("sha256:")[:12]
    return visible(side["name"]) + (f" ({digits})" if digits and not digits.startswith(side["name"][:12]) else "")


def _packages(packages: list[dict[str, Any]], output: Output, everything: bool) -> Iterator[str]:
    if not packages:
        return
    verbs = [package["verb"] for package in packages]
    counted = ", ".join(f"{verbs.count(verb)} {verb}" for verb in VERBS if verb in verbs)
    yield from ("", output.paint(f"packages: {counted}", "strong"))
    packages = sorted(packages, key=lambda package: VERBS.index(package["verb"]))
    shown = packages if everything else packages[:SHOWN_PACKAGES]
    rows = []
    for package in shown:
        versions = (
            f"{package['old']} -> {package['new']}"
            if package["old"] and package["new"]
            else f"{package['new'] or package['old']}"
        )
        files = f"{count(package['files'], 'path')}, {format_size(package['size'])}" if package["files"] else ""
        rows.append(
            (package["kind"], package["name"].removesuffix(":all"), package["verb"], versions, files, package["where"])
        )
    yield from _aligned(rows)
    if len(packages) > len(shown):
        yield f"{_GAP}and {len(packages) - len(shown)} more (--all)"


def _bad_records(bad: list[dict[str, Any]], output: Output, everything: bool) -> Iterator[str]:
    if not bad:
        return
    head = f"{count(len(bad), 'record')} of packages that can't be read: what they say is not compared"
    yield from ("", output.paint(head, "warning"))
    yield from _aligned([(record["path"], record["reason"]) for record in bad[: None if everything else SHOWN_PATHS]])
    if len(bad) > SHOWN_PATHS and not everything:
        yield f"{_GAP}and {len(bad) - SHOWN_PATHS} more (--all)"


def _unexplained(report: dict[str, Any], output: Output, everything: bool) -> Iterator[str]:
    paths = report["unexplained"]
    if not paths:
        return
    what = "that no package explains" if report["packages"] else "that differ" if len(paths) > 1 else "that differs"
    yield from ("", output.paint(f"{count(len(paths), 'path')} {what}", "strong"))
    if everything or len(paths) <= SHOWN_PATHS:
        yield from _paths(paths, output, len(paths), indent=_GAP)
        return
    rows = []
    for folder in report["folders"]:
        verbs = ", ".join(f"{folder[verb]} {verb}" for verb in ("added", "removed", "changed") if folder[verb])
        rows.append(
            (folder["folder"], verbs, f"{format_size(folder['old_size'])} -> {format_size(folder['new_size'])}")
        )
    yield from _aligned(rows[:SHOWN_PATHS])
    if len(rows) > SHOWN_PATHS:
        yield f"{_GAP}and {len(rows) - SHOWN_PATHS} more folders"


def _paths(paths: list[dict[str, Any]], output: Output, most: int, indent: str = "") -> Iterator[str]:
    styles = {"added": "good", "removed": "error", "changed": "note"}
    for path in paths[:most]:
        letter = output.paint(_LETTERS[path["verb"]], styles[path["verb"]])
        about = [*_details(path), *([f"({path['package']})"] if path.get("package") else [])]
        yield f"{indent}{letter} {visible(path['path'])}" + (f"  {', '.join(about)}" if about else "")


def _details(difference: dict[str, Any]) -> Iterator[str]:
    old, new = difference.get("old", {}), difference.get("new", {})
    if difference["verb"] != "changed":
        if difference["kind"] != "file":
            yield difference["kind"]
        else:
            yield format_size((new or old)["size"])
        return
    for what in difference["what"]:
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
        else:
            yield what


def _diff(lines: list[str], output: Output) -> Iterator[str]:
    for line in lines:
        style = "strong" if line.startswith(("+++ ", "--- ")) else _STYLES.get(line[:1], "")
        shown = visible(line)
        yield output.paint(shown, style) if style else shown


def fact_text(value: object) -> str:
    """Return a fact as one line."""
    if value is None:
        return "-"
    if isinstance(value, dict) and "argv" in value:
        return " ".join(map(str, value["argv"]))
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    cells = [[visible(cell) for cell in row] for row in rows]
    widths = [max(map(columns, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        yield (_GAP + _GAP.join(pad(cell, width, False) for cell, width in zip(row, widths, strict=True))).rstrip()
