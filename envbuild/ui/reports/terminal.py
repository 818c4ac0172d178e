"""A comparison on a terminal: a summary that fits a screen, and the longer lists where they are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from envbuild.history.packages_in_brief import FOLDED, packages_in_brief
from envbuild.packages.plain_names import plain_name
from envbuild.text.sizes import format_size
from envbuild.text.width import columns, cut, pad
from envbuild.ui.humanize import count
from envbuild.ui.reports.machine import machine_lines
from envbuild.ui.reports.path_lines import MAX_EDITED, notice_lines, path_lines
from envbuild.ui.reports.report import not_compared
from envbuild.ui.reports.screen import Screen, first_notices, shares
from envbuild.ui.sanitize import visible
from envbuild.ui.stream import Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_RECORDS = 4
_LEAST = (12, 8, 4, 4, 3, 1, 3)
"""Rows that the notices, what was done to a machine, facts, the network, packages asked for, packages pulled in and
other paths get at least."""
_BESIDE = 3
"""Rows of a part beside what it lists: an empty one, its title, and one that says how much is not shown."""
_GAP = "  "
VERBS = ("upgraded", "downgraded", "rebuilt", "removed", "added")
"""In the order in which they matter to a reader."""
_VERBS_OF_PATHS = ("added", "removed", "changed")
_STYLES = {"+": "good", "-": "error", "@": "note"}
NOTICES = {
    "privilege": "with rights of others",
    "program": "of programs",
    "package file": "of packages",
    "configuration": "of configuration",
    "target": "of links that lead elsewhere",
    "rights": "with another owner or mode",
}
"""The kinds of notices, as they are counted."""
EDITED = ("package file", "configuration")
_POWERFUL = ("PATH", "OPT", "OPTS", "OPTIONS", "PRELOAD", "STARTUP", "_ENV")
"""The ends of variables that decide what is run, or how: PYTHONPATH, NODE_OPTIONS, BASH_ENV ..."""


def lines_of(
    report: dict[str, Any], output: Output, *, everything: bool, screen: Screen | None = None
) -> Iterator[str]:
    """Return the lines of a report. Its summary fits the screen, but with `everything` no list is cut."""
    if "statements" in report:
        yield from _diff(report["statements"], output)
        if not report["statements"]:
            yield "the recipes' statements are the same"
        return
    if "texts" in report:
        yield from _diff(report["texts"], output)
        return
    if "files" in report:
        yield from path_lines(report["files"], output, times=True)
        return
    old, new = report["old"], report["new"]
    yield output.paint(f"{_named(old)}  ->  {_named(new)}", "strong")
    if report["same"]:
        yield "the same image"
        yield from _Summary(report, output, screen or Screen(), everything=everything).network()
        return
    if not report["whole"]:
        missing = "; ".join(f"{visible(name)}: {reason}" for name, reason in not_compared(report))
        yield output.paint(f"{missing}; so that only what the locks say is compared", "warning")
        if report["unknown"]:
            yield "they say the same; whether it is the same image can't be told"
    left_out = _left_out(report)
    yield from _Summary(report, output, screen or Screen(), everything=everything).lines(bool(left_out))
    if left_out:
        yield from ("", output.paint(f"also {', '.join(left_out)} (--files has all)", "dim"))
    yield from _bad_records(report["bad_records"], output, everything)
    if report["whole"] and not (
        report["packages"]
        or report["facts"]
        or "network" in report
        or report["unexplained"]
        or report["notices"]
        or report.get("causes")
        or left_out
    ):
        yield "nothing that either tree holds differs"


def other_paths(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the paths that no package explains and no notice names."""
    named = {notice["path"] for notice in report["notices"]}
    return [path for path in report["unexplained"] if path["path"] not in named]


class _Summary:
    """The parts of a summary. Where they do not fit the screen together, each has its share of the rows."""

    def __init__(self, report: dict[str, Any], output: Output, screen: Screen, *, everything: bool) -> None:
        self._report = report
        self._output = output
        self._screen = screen
        self._everything = everything
        packages = sorted(report["packages"], key=lambda package: VERBS.index(package["verb"]))
        self._asked = [package for package in packages if package["asked"]]
        pulled = [package for package in packages if not package["asked"]]
        self._brief = packages_in_brief(
            (package["verb"], plain_name(package["name"]), package["asked"]) for package in packages
        )
        # Those that came with what was asked for, or went with it, are a number.
        self._folded = bool(self._brief) and not everything
        self._pulled = [package for package in pulled if package["verb"] not in FOLDED] if self._folded else pulled
        self._hidden = len(pulled) - len(self._pulled)
        self._others = other_paths(report)
        self._machine = machine_lines(report.get("causes", []), output, screen.columns, _GAP)

    def lines(self, more: bool) -> Iterator[str]:
        """Yield the lines; `more` says whether two rows more will follow."""
        report = self._report
        packages = self._asked, self._pulled
        edited = (len(notice.get("lines", [])) for notice in report["notices"])
        lists = (self._machine, report["facts"], report.get("network", []), *packages, self._others)
        wanted = [
            len(report["notices"]) + sum(number for number in edited if number <= MAX_EDITED),
            *map(len, lists),
        ]
        parts = sum(map(bool, wanted))
        # The names of both sides, and the prompt of a pager.
        rows = self._screen.rows - 2 - _BESIDE * parts - 2 * more - min(len(report["bad_records"]), 7)
        given = wanted if self._everything else shares(wanted, _LEAST, rows)
        yield from self._notices(given[0])
        yield from self._of_machine(given[1])
        yield from self._facts(given[2])
        yield from self._network(given[3])
        yield from self._packages(self._asked, self._asked_title(), given[4])
        yield from self._packages(self._pulled, "packages pulled in" if self._asked else "packages", given[5])
        yield from self._other_paths(given[6])

    def network(self) -> Iterator[str]:
        """Yield the lines about the network alone."""
        wanted = len(self._report.get("network", []))
        yield from self._network(wanted if self._everything else min(wanted, self._screen.rows - _BESIDE))

    def _notices(self, most: int) -> Iterator[str]:
        notices = self._report["notices"]
        if not notices:
            return
        if self._machine:
            # What somebody edited and forgot comes before what he brought: it breaks machines.
            notices = sorted(notices, key=lambda notice: notice["notice"] not in EDITED)
        yield from ("", self._output.paint(f"{count(len(notices), 'path')} to look at", "strong"))
        shown = first_notices(notices, most)
        left = None if self._everything else most - len(shown)
        yield from notice_lines(shown, self._output, self._screen.columns, _GAP, left)
        hidden = [notice["notice"] for notice in notices]
        for notice in shown:
            hidden.remove(notice["notice"])
        if hidden:
            kinds = ", ".join(f"{hidden.count(kind)} {words}" for kind, words in NOTICES.items() if kind in hidden)
            yield self._cut(f"{_GAP}and {len(hidden)} more: {kinds} (--all)")

    def _of_machine(self, most: int) -> Iterator[str]:
        if not self._machine:
            return
        yield from ("", self._output.paint("on the machine", "strong"))
        yield from self._machine[:most]
        yield from self._more(len(self._machine) - most)

    def _facts(self, most: int) -> Iterator[str]:
        facts = self._report["facts"]
        if not facts:
            return
        yield from ("", self._output.paint("facts", "strong"))
        shown = facts if len(facts) <= most else sorted(facts, key=_weight)[:most]
        yield from self._aligned(
            [(fact["name"], f"{fact_text(fact['old'])} -> {fact_text(fact['new'])}") for fact in shown]
        )
        yield from self._more(len(facts) - len(shown))

    def _network(self, most: int) -> Iterator[str]:
        network = self._report.get("network", [])
        if not network:
            return
        yield from ("", self._output.paint("network", "strong"))
        yield from self._aligned([network_row(difference) for difference in network[:most]])
        yield from self._more(len(network) - most)

    def _asked_title(self) -> str:
        return "packages asked for" if self._pulled else "packages"

    def _packages(self, packages: list[dict[str, Any]], title: str, most: int) -> Iterator[str]:
        if not packages:
            return
        folded = self._folded and packages is self._asked
        verbs = [package["verb"] for package in packages]
        parts = [f"{verbs.count(verb)} {verb}" for verb in VERBS if verb in verbs and not (folded and verb in FOLDED)]
        rest = " (--all)" if not most or (folded and self._hidden) else ""
        said = "; ".join(filter(None, (self._brief, ", ".join(parts)))) if folded else ", ".join(parts)
        yield from ("", self._output.paint(self._cut(visible(f"{title}: {said}{rest}")), "strong"))
        if most:
            yield from self._aligned([_package_row(package) for package in packages[:most]])
            yield from self._more(len(packages) - most)

    def _other_paths(self, most: int) -> Iterator[str]:
        paths = self._others
        if not paths:
            return
        other = "other " if self._report["notices"] else ""
        what = "that no package explains" if self._report["packages"] else "that differ"
        what += "s" if what == "that differ" and len(paths) == 1 else ""
        yield from ("", self._output.paint(f"{len(paths)} {other}path{'s' * (len(paths) > 1)} {what}", "strong"))
        if len(paths) <= most:
            yield from path_lines(paths, self._output, self._screen.columns, _GAP)
            return
        rows = []
        by_number = sorted(
            self._report["other_folders"], key=lambda folder: -sum(folder[verb] for verb in _VERBS_OF_PATHS)
        )
        for folder in by_number:
            verbs = ", ".join(f"{folder[verb]} {verb}" for verb in _VERBS_OF_PATHS if folder[verb])
            rows.append(
                (folder["folder"], verbs, f"{format_size(folder['old_size'])} -> {format_size(folder['new_size'])}")
            )
        yield from self._aligned(rows[:most])
        yield from self._more(len(rows) - most, " folders")

    def _more(self, number: int, what: str = "") -> Iterator[str]:
        if number > 0:
            yield f"{_GAP}and {number} more{what} (--all)"

    def _aligned(self, rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
        return map(self._cut, _aligned(rows))

    def _cut(self, line: str) -> str:
        return line if self._screen.columns is None else cut(line, self._screen.columns)


def _left_out(report: dict[str, Any]) -> list[str]:
    """Return what the summary only counts, in words."""
    parts = []
    if report["records"]:
        parts.append(f"{count(report['records'], 'file')} of package managers")
    if report["times"]:
        parts.append(f"{count(report['times'], 'path')} with only another time")
    if report.get("generated"):
        parts.append(f"{count(report['generated'], 'generated file')}")
    if report.get("uncompared"):
        parts.append(f"{count(report['uncompared'], 'path')} that one of them did not take")
    if report.get("passing"):
        parts.append(f"{count(len(report['passing']), 'record')} of what comes and goes by itself")
    if report["unread"]:
        parts.append(f"{count(report['unread'], 'file')} of packages not compared with their records")
    return parts


def _weight(fact: dict[str, Any]) -> tuple[int, str]:
    """Return the key by which facts are sorted if not all can be shown: what decides what is run comes first."""
    name = fact["name"]
    powerful = name.startswith("env.LD_") or (name.startswith("env.") and name.endswith(_POWERFUL))
    weight = 0 if powerful or name in ("env.ENV", "env.IFS") else 1 if not name.startswith(("env.", "labels.")) else 2
    return weight, name


def _named(side: dict[str, Any]) -> str:
    digits = side["image"].removeprefix("sha256:")[:12]
    return visible(side["name"]) + (f" ({digits})" if digits and not digits.startswith(side["name"][:12]) else "")


def _package_row(package: dict[str, Any]) -> tuple[str, ...]:
    old, new = package["old"], package["new"]
    versions = f"{old} -> {new}" if old and new else f"{new or old}"
    files = f"{count(package['files'], 'path')}, {format_size(package['size'])}" if package["files"] else ""
    return package["kind"], package["name"].removesuffix(":all"), package["verb"], versions, files, package["where"]


NETWORK_WORDS = {
    ("mode", "added"): "this build also had the whole network",
    ("mode", "removed"): "the whole network is no longer given",
    ("host", "added"): "this build also asked",
    ("host", "removed"): "no longer asked",
    ("more", "added"): "this build also asked more",
    ("more", "removed"): "no longer asked more",
    ("refused", "added"): "this build was also refused",
    ("refused", "removed"): "no longer refused",
    ("answer", "changed"): "another answer",
    ("answer", "added"): "this build also fetched",
    ("answer", "removed"): "no longer fetched",
    ("commit", "changed"): "another commit",
    ("commit", "added"): "this build also fetched",
    ("commit", "removed"): "no longer fetched",
}
"""What is said of a difference of the network, by its kind and verb."""


def network_row(difference: dict[str, Any]) -> tuple[str, ...]:
    """Return a difference of the network in words, its name, and what it was and is."""
    old, new = (short_digests(text) for text in (difference["old"], difference["new"]))
    return (
        NETWORK_WORDS[difference["kind"], difference["verb"]],
        difference["name"],
        f"{old} -> {new}" if old and new else old or new,
    )


def short_digests(text: str) -> str:
    """Return digests with as many digits as tell them apart."""
    return " ".join(word[:19] for word in text.split())


def _bad_records(bad: list[dict[str, Any]], output: Output, everything: bool) -> Iterator[str]:
    if not bad:
        return
    head = f"{count(len(bad), 'record')} of packages that can't be read: what they say is not compared"
    yield from ("", output.paint(head, "warning"))
    yield from _aligned([(record["path"], record["reason"]) for record in bad[: None if everything else MAX_RECORDS]])
    if len(bad) > MAX_RECORDS and not everything:
        yield f"{_GAP}and {len(bad) - MAX_RECORDS} more (--all)"


def _diff(lines: Iterable[str], output: Output) -> Iterator[str]:
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
