"""Comparisons and reviews as markdown, for a comment on a pull request."""

from __future__ import annotations

from collections.abc import Iterator

from envbuild.text.sizes import format_size
from envbuild.ui.markdown import Markdown, cell, code, fenced, fill, lines
from envbuild.ui.reports.machine import record_text
from envbuild.ui.reports.report import not_compared
from envbuild.ui.reports.screen import first_notices
from envbuild.ui.reports.terminal import NETWORK_WORDS, VERBS, fact_text, other_paths, short_digests

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_PINS = 30
"""Changes of a lock of one kind, and notes, that a comment lists; all are in the JSON."""
FOLDED_BEYOND = 10
"""Rows of a list that a comment shows without a click."""
MAX_CHARACTERS = 60_000
"""GitHub refuses comments of more than 65,536 characters (its REST API for issue comments)."""
_SIZES = ((200, 1000, 500), (20, 300, 200), (10, 50, 50))
"""How many paths, rows of tables and lines of diffs are shown: the first that fits."""


def comparison_comment(report: dict[str, Any], title: Markdown | None = None) -> Markdown:
    """Return what differs between two environments."""
    if title is None:
        title = fill("Environment: {} → {}", code(report["old"]["name"]), code(report["new"]["name"]))
    for sizes in _SIZES:
        text = lines(_comparison(report, title, *sizes), "\n\n")
        if len(text) <= MAX_CHARACTERS:
            break
    return text


def review_comment(findings: list[dict[str, Any]], title: str) -> Markdown:
    """Return for each recipe whether its lock is up to date, and what changed. What is wrong is never left out for
    length."""
    parts = [fill("## Environments, {}", code(title))]
    if not findings:
        parts.append(fill("No recipe with a lock is concerned."))
    states = [list(_state(finding)) for finding in findings]
    left = MAX_CHARACTERS - sum(len(part) + 2 for state in states for part in state)
    for finding, state in zip(findings, states, strict=True):
        parts += state
        details = _details(finding)
        left -= len(details) + 2
        parts.append(details if left >= 0 else fill("### {}: too much changed for a comment", code(finding["recipe"])))
    return lines((*parts, fill("")), "\n\n")


def _state(finding: dict[str, Any]) -> Iterator[Markdown]:
    recipe = code(finding["recipe"])
    reasons = finding["reasons"][:20]
    yield from _pins(finding)
    if finding["notes"]:
        yield _warned("NOTE", recipe, finding["notes"])
    if finding["outdated"]:
        if finding["state"] == "unreadable":
            first = fill("> **{} can't be read.**", recipe)
        else:
            words = "> **The lock of {} is {}.** `envbuild build` of it renews it; commit it with the recipe."
            first = fill(
                words, recipe, fill(finding["state"]) if finding["state"] in _STATES else code(finding["state"])
            )
        yield lines((first, *(fill("> - {}", code(reason)) for reason in reasons)))
    elif finding["state"] == "unknown":
        yield lines(
            (
                fill("> Whether the lock of {} is up to date could not be told here:", recipe),
                *(fill("> - {}", code(reason)) for reason in reasons),
            )
        )
    elif finding["state"] == "incomplete":
        words = "> The lock of {} holds, and does not have all results: `envbuild build --locked` makes them."
        yield lines((fill(words, recipe), *(fill("> - {}", code(reason)) for reason in reasons)))
    elif finding["state"] == "up to date" and not finding["proven"]:
        words = "> The lock of {} fits its recipe. Its results were not built here: that they are true is its own word."
        yield fill(words, recipe)


def _pins(finding: dict[str, Any]) -> Iterator[Markdown]:
    """Yield what of the locks a reader must not miss. GitHub and GitLab show a CAUTION in red."""
    for alarming, kind in ((True, "CAUTION"), (False, "NOTE")):
        texts = [change["text"] for change in finding["pins"] if change["alarming"] == alarming]
        if not texts:
            continue
        yield _warned(kind, code(finding["recipe"]), texts)


def _warned(kind: str, recipe: Markdown, texts: list[str]) -> Markdown:
    first = fill("> [!" + kind + "]\n> **{}**", recipe)
    listed = [fill("> - {}", code(text)) for text in texts[:MAX_PINS]]
    if len(texts) > MAX_PINS:
        listed.append(fill("> - and {} more", len(texts) - MAX_PINS))
    return lines((first, *listed))


_STATES = ("out of date", "missing")


def _details(finding: dict[str, Any]) -> Markdown:
    recipe = code(finding["recipe"])
    if finding["report"] is not None:
        return comparison_comment(finding["report"], recipe)
    if finding["added"] and not finding["removed"]:
        return fill("### {} is new", recipe)
    if finding["removed"]:
        return fill("### {} is removed" if finding["state"] == "removed" else "### {} has no lock", recipe)
    return fill("### {}", recipe)


def _comparison(
    report: dict[str, Any], title: Markdown, most_paths: int, most_rows: int, most_lines: int
) -> Iterator[Markdown]:
    old, new = report["old"], report["new"]
    yield fill("### {}", title)
    if report["same"]:
        yield fill("The same image, {}.", _digits(new))
        if "network" in report:
            yield _network(report["network"], most_rows)
        return
    yield fill("{} ({}) → {} ({})", code(old["name"]), _digits(old), code(new["name"]), _digits(new))
    if not report["whole"]:
        missing = [fill("{}: " + reason, code(name)) for name, reason in not_compared(report)]
        yield fill("{}; so that only what the locks say is compared.", lines(missing, "; "))
        if report["unknown"]:
            yield fill("They say the same; whether it is the same image can't be told.")
    if report["notices"]:
        yield _notices(report["notices"], most_rows)
    if report.get("causes"):
        yield _machine(report["causes"], most_rows)
    if report["facts"]:
        yield fill("**Facts**")
        yield _facts(report["facts"], most_rows)
    if "network" in report:
        yield _network(report["network"], most_rows)
    if report["packages"]:
        yield _packages(report["packages"], most_rows)
    if report["bad_records"]:
        yield _bad_records(report["bad_records"], most_rows)
    others = other_paths(report)
    if others:
        yield _paths(report, others, most_paths, most_rows)
    for name, texts in (("Statements", report.get("statements")), ("Contents", report.get("texts"))):
        if texts:
            yield _folded(fill(name), fenced("diff", texts, most_lines))
    kept = []
    if report["records"]:
        kept.append(fill("{} files that package managers keep for themselves", report["records"]))
    if report["times"]:
        kept.append(fill("{} paths with another time and nothing else", report["times"]))
    if report["unread"]:
        kept.append(fill("{} files of packages not compared with their records", report["unread"]))
    if kept:
        yield fill("{}.", lines(kept, ", "))


def _notices(notices: list[dict[str, Any]], most: int) -> Markdown:
    rows = [fill("| | path | differs | |"), fill("| --- | --- | --- | --- |")]
    for notice in first_notices(notices, most):
        about = notice["reason"]
        if notice["package"] and notice["package"] not in about:
            about = f"{about} ({notice['package']})".strip()
        verb = fill(notice["verb"] if notice["verb"] in ("added", "removed") else "changed")
        rows.append(fill("| {} | {} | {} | {} |", verb, cell(notice["path"]), fill(_differs(notice)), _said(about)))
    body = lines(rows)
    if len(notices) > most:
        body = lines((body, fill("and {} more", len(notices) - most)), "\n\n")
    title = fill("**{} path" + ("s" if len(notices) != 1 else "") + " to look at**", len(notices))
    return lines((title, body), "\n\n")  # never folded: these are what a reviewer must not miss


def _machine(causes: list[dict[str, Any]], most: int) -> Markdown:
    rows = []
    for cause in causes:
        name = cell(cause["cause"])
        texts = [(record["verb"], record_text(record)) for record in cause["records"]]
        texts += [(path["verb"], path["path"]) for path in cause["paths"]]
        for verb, text in texts or [("changed", f"{cause['folded']} paths")]:
            rows.append(fill("| {} | {} | {} |", name, fill(verb if verb in VERBS else "changed"), cell(text)))
    head = [fill("| | | |"), fill("| --- | --- | --- |")]
    return _listed(fill("**On the machine**"), [*head, *rows[:most]], len(rows), most)


def _differs(notice: dict[str, Any]) -> str:
    """Return in what a path differs, in words and figures of ours."""
    parts = []
    for aspect in notice["what"]:
        if aspect == "mode":
            parts.append(f"mode {notice['old']['mode']} → {notice['new']['mode']}")
        elif aspect == "owner":
            old, new = notice["old"], notice["new"]
            parts.append(f"owner {old['uid']}:{old['gid']} → {new['uid']}:{new['gid']}")
        elif aspect != "time":
            parts.append(aspect)
    return ", ".join(parts)


def _said(text: str) -> Markdown:
    return cell(text) if text else fill("")


def _packages(packages: list[dict[str, Any]], most: int) -> Markdown:
    verbs = [package["verb"] for package in packages]
    counted = [fill("{} " + verb, verbs.count(verb)) for verb in VERBS if verb in verbs]
    s = "s" if len(packages) != 1 else ""
    title = fill("**{} package" + s + "**: {}", len(packages), lines(counted, ", "))
    rows = [fill("| | package | old | new | paths |"), fill("| --- | --- | --- | --- | --- |")]
    for package in sorted(packages, key=lambda package: not package["asked"])[:most]:
        about = [cell(package["kind"])] if package["kind"] not in _KINDS else [fill(package["kind"])]
        about += [cell(package["where"])] if package["where"] else []
        verb = fill(package["verb"] if package["verb"] in VERBS else "changed")
        files = package["files"] or fill("")
        named = cell(package["name"]), lines(about, ", ")
        rows.append(
            fill(
                "| {} | {} ({}) | {} | {} | {} |",
                verb,
                *named,
                _version(package["old"]),
                _version(package["new"]),
                files,
            )
        )
    return _listed(title, rows, len(packages), most)


def _bad_records(bad: list[dict[str, Any]], most: int) -> Markdown:
    title = fill("**Records of packages that can't be read: {}**", len(bad))
    rows = [fill("- {}: {}", code(record["path"]), code(record["reason"])) for record in bad[:most]]
    return _listed(title, rows, len(bad), most)


_KINDS = ("dpkg", "python", "node")


def _version(version: str | None) -> Markdown:
    return cell(version or "")


def _facts(facts: list[dict[str, Any]], most: int) -> Markdown:
    rows = [fill("| fact | old | new |"), fill("| --- | --- | --- |")]
    for fact in facts[:most]:
        old, new = cell(fact_text(fact["old"])), cell(fact_text(fact["new"]))
        rows.append(fill("| {} | {} | {} |", cell(fact["name"]), old, new))
    return lines(rows)


def _network(network: list[dict[str, Any]], most: int) -> Markdown:
    rows = [fill("| network | | old | new |"), fill("| --- | --- | --- | --- |")]
    for difference in network[:most]:
        words = fill(NETWORK_WORDS[difference["kind"], difference["verb"]])
        old, new = (_said(short_digests(difference[side])) for side in ("old", "new"))
        rows.append(fill("| {} | {} | {} | {} |", words, cell(difference["name"]), old, new))
    return _listed(fill("**Network**"), rows, len(network), most)


def _paths(report: dict[str, Any], paths: list[dict[str, Any]], most: int, most_rows: int) -> Markdown:
    which = "that no package explains" if report["packages"] else "that differ"
    other = "other " if report["notices"] else ""
    title = fill("**{} " + other + "path" + ("s" if len(paths) != 1 else "") + f" {which}**", len(paths))
    rows = [fill("| folder | added | removed | changed | bytes |"), fill("| --- | --- | --- | --- | --- |")]
    for folder in report["other_folders"][:most_rows]:
        counts = folder["added"], folder["removed"], folder["changed"]
        sizes = fill(format_size(folder["old_size"])), fill(format_size(folder["new_size"]))
        rows.append(fill("| {} | {} | {} | {} | {} → {} |", cell(folder["folder"]), *counts, *sizes))
    listed = []
    for path in paths[:most]:
        what = fill(f" ({', '.join(path['what'])})") if path["what"] else fill("")
        listed.append(fill("- " + path["verb"] + " {}{}", code(path["path"]), what))
    if len(paths) > most:
        listed.append(fill("- and {} more", len(paths) - most))
    body = lines((lines(rows), lines(listed)), "\n\n")
    return _folded(title, body) if len(paths) > FOLDED_BEYOND else lines((title, body), "\n\n")


def _listed(title: Markdown, rows: list[Markdown], count: int, most: int) -> Markdown:
    body = lines(rows)
    if count > most:
        body = lines((body, fill("and {} more", count - most)), "\n\n")
    return _folded(title, body) if count > FOLDED_BEYOND else lines((title, body), "\n\n")


def _folded(title: Markdown, body: Markdown) -> Markdown:
    return fill("<details>\n<summary>{}</summary>\n\n{}\n\n</details>", title, body)


def _digits(side: dict[str, Any]) -> Markdown:
    return code(side["image"][7:19]) if side["image"] else fill("not known until a build")
