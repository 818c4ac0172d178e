"""The answer of a bisect in words, and as plain data (docs/bisect.md)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from envbuild.bisect.bisect import Finding
from envbuild.bisect.commits import FirstBadCommit
from envbuild.bisect.differences import FACT, FactPart, Group, Part, PathPart, PiecePart
from envbuild.bisect.flakiness import Rates
from envbuild.bisect.grouping import fact_name
from envbuild.bisect.loose_files import shown_path
from envbuild.history.origin import Origin
from envbuild.text.dates import iso
from envbuild.tree.diff import Change, aspects
from envbuild.ui.humanize import count, duration
from envbuild.ui.sanitize import clean, visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from envbuild.git.repository import Author

MAX_STATEMENT = 80
"""Characters of a statement that are shown."""
MAX_LINES = 10
"""Of a hunk, of a list of files and of a test's output that are shown."""


def answer(finding: Finding) -> str:
    """Return the answer in one sentence."""
    alone = len(finding.culprits) == 1
    breaks = "breaks it" if alone else "break it together"
    if finding.needed:
        breaks += f" with {_listed(finding.needed)}, which {'it needs' if alone else 'they need'}"
    figures = [f"{finding.tried} of {count(finding.total, 'difference')} tried", count(finding.runs, "run")]
    if finding.remembered:
        figures.append(f"{finding.remembered} remembered")
    figures.append(f"{finding.seconds:.1f} s" if finding.seconds < 60 else duration(finding.seconds))
    return f"{_listed(finding.culprits)} {breaks} ({', '.join(figures)})"


def lines_of(finding: Finding, causes: Sequence[Origin | None] = ()) -> Iterator[str]:
    """Yield the lines of the answer: the sentence, what of each difference it is, and how the test ends there."""
    yield visible(answer(finding))
    listed = [line for part in finding.parts for line in _part_lines(part, finding)]
    if any(group.kind != FACT for group in finding.culprits):
        yield from (f"  {visible(line)}" for line in listed[: 4 * MAX_LINES])
        if len(listed) > 4 * MAX_LINES:
            yield f"  ... and {len(listed) - 4 * MAX_LINES} more lines"
    for group, cause in zip(finding.culprits, causes, strict=False):
        if cause is not None:
            yield from map(visible, origin_lines(group, cause))
    if finding.rates is not None:
        yield f"the test is flaky: {_rates(finding.rates)}; each candidate was run until that told which it is"
    said = clean(finding.tail).rstrip().splitlines()[-MAX_LINES:]
    if said:
        yield "the test says there:"
        yield from (f"  {visible(line)}" for line in said)


def border_lines(border: FirstBadCommit, author: Author | None) -> Iterator[str]:
    """Yield the lines about the first bad commit."""
    said = f": {author.summary} ({commit_line(author)})" if author is not None else ""
    tried = f"{border.tried} of {count(border.total, 'commit')} looked at, {count(border.runs, 'run')}"
    yield visible(f"{border.bad[:12]} is the first bad commit ({tried}){said}")
    if border.skipped:
        listed = ", ".join(commit[:12] for commit in border.skipped[:MAX_LINES])
        more = " ..." if len(border.skipped) > MAX_LINES else ""
        yield f"or one of these before it, which could not be tried: {listed}{more}"


def plain_border(border: FirstBadCommit, author: Author | None) -> dict[str, Any]:
    """Return the documented form of the first bad commit."""
    return {
        "commit": plain_author(author) or {"commit": border.bad, "name": "", "time": "", "summary": ""},
        "good_commit": border.good,
        "skipped": list(border.skipped),
        "commits": {"tried": border.tried, "total": border.total, "runs": border.runs},
    }


def group_text(group: Group) -> str:
    """Return what a group is called, with its versions."""
    if group.old and group.new:
        same = group.old == group.new
        return f"{group.name} {group.new} (other files)" if same else f"{group.name} {group.old} -> {group.new}"
    if group.new:
        return f"{group.name} {group.new} (added)"
    if group.old:
        return f"{group.name} {group.old} (removed)"
    if group.kind == FACT:
        (part,) = group.parts
        assert isinstance(part, FactPart)
        return f"{group.name} ({_value(part.before)} -> {_value(part.after)})"
    if len(group.parts) == 1 and isinstance(group.parts[0], PathPart):
        return f"{group.name} ({_verb(group.parts[0])})"
    return group.name


def plain(finding: Finding, causes: Sequence[Origin | None] = ()) -> dict[str, Any]:
    """Return the documented form; `causes` are what brought the differences, one for each."""
    brought = [*causes, *[None] * (len(finding.culprits) - len(causes))]
    return {
        "answer": answer(finding),
        "differences": [
            {**_plain_group(group), "origin": plain_origin(cause)}
            for group, cause in zip(finding.culprits, brought, strict=True)
        ],
        "needed": [_plain_group(group) for group in finding.needed],
        "parts": [_plain_part(part, finding) for part in finding.parts],
        "total": finding.total,
        "tried": finding.tried,
        "runs": finding.runs,
        "remembered": finding.remembered,
        "seconds": round(finding.seconds, 3),
        "flaky": None
        if finding.rates is None
        else {
            side: {"failures": times.failures, "runs": times.runs}
            for side, times in (("good", finding.rates.good), ("bad", finding.rates.bad))
        },
        "failure": {
            "exit": finding.failure.status,
            "timed_out": finding.failure.timed_out,
            "text": finding.failure.text,
        },
        "output": finding.tail,
        "trials": [
            {
                "differences": trial.size,
                "names": [finding.groups[number].name for number in trial.groups],
                "verdict": trial.verdict,
                "exit": trial.last.status,
                "timed_out": trial.last.timed_out,
            }
            for trial in finding.trials
        ],
    }


def plain_origin(origin: Origin | None) -> dict[str, Any] | None:
    """Return the documented form of what brought a difference."""
    if origin is None:
        return None
    author = origin.credit.author if origin.credit is not None else None
    return {
        "statement": origin.text,
        "place": origin.place,
        "lock": origin.lock,
        "commit": plain_author(author),
        "uncommitted": origin.credit is not None and origin.credit.uncommitted,
    }


def plain_author(author: Author | None) -> dict[str, Any] | None:
    """Return the documented form of a commit."""
    if author is None:
        return None
    return {"commit": author.commit, "name": author.name, "time": iso(author.time), "summary": author.summary}


def origin_lines(group: Group, origin: Origin) -> Iterator[str]:
    """Yield the lines that say what brought a difference."""
    place = f"{origin.place}: " if origin.place else ""
    pinned = f", pinned in {origin.lock}" if origin.lock else ""
    text = origin.text if len(origin.text) <= MAX_STATEMENT else f"{origin.text[: MAX_STATEMENT - 1]}…"
    yield f"{group.name} was brought by {place}{text}{pinned}"
    credit = origin.credit
    if credit is None:
        return
    if credit.author is not None:
        yield f"  in commit {credit.author.commit[:12]}: {credit.author.summary} ({commit_line(credit.author)})"
    elif credit.uncommitted:
        yield f"  in no commit: {credit.what} was changed when the image was built"
    elif credit.set:
        yield f"  in no commit: {credit.what} was set on the command line of the build"


def commit_line(author: Author) -> str:
    """Return who wrote a commit, and when."""
    return f"{author.name}, {iso(author.time)}"


def _listed(groups: Sequence[Group]) -> str:
    names = [group_text(group) for group in groups]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _rates(rates: Rates) -> str:
    sides = (("good", rates.good), ("bad", rates.bad))
    return " and ".join(
        f"it failed in {times.failures} of {times.runs} runs in the {side} environment" for side, times in sides
    )


def _plain_group(group: Group) -> dict[str, Any]:
    return {"kind": group.kind, "name": group.name, "old": group.old, "new": group.new, "text": group_text(group)}


def _plain_part(part: Part, finding: Finding) -> dict[str, Any]:
    match part:
        case PathPart(path=path):
            return {"path": shown_path(path), "what": _verb(part)}
        case PiecePart(path=path, aspect=aspect, hunk=hunk):
            form: dict[str, Any] = {"path": shown_path(path), "what": aspect}
            if hunk >= 0:
                line, old, new = finding.pieces[path].lines(hunk)
                form |= {"line": line, "old": old, "new": new}
            return form
        case FactPart(name=name, before=before, after=after):
            return {"fact": name, "old": before, "new": after}
        case _:
            return {"record": part.package}


def _part_lines(part: Part, finding: Finding) -> Iterator[str]:
    match part:
        case PathPart(path=path):
            yield f"{shown_path(path)}: {_verb(part)}"
        case PiecePart(path=path, aspect=aspect, hunk=hunk):
            if hunk < 0:
                pieces = finding.pieces[path]
                yield f"{shown_path(path)}: {_aspect(aspect, PathPart(path, pieces.before, pieces.after))}"
                return
            line, old, new = finding.pieces[path].lines(hunk)
            yield f"{shown_path(path)}:{line}:"
            yield from (f"- {text.rstrip()}" for text in old[:MAX_LINES])
            yield from (f"+ {text.rstrip()}" for text in new[:MAX_LINES])
        case FactPart(name=name, before=before, after=after):
            yield f"{fact_name(name)}: {_value(before)} -> {_value(after)}"
        case _:
            yield f"dpkg's record of {part.package.partition(':')[0]}"


def _verb(part: PathPart) -> str:
    if part.before is None:
        return "added"
    if part.after is None:
        return "removed"
    different = aspects(Change(part.path, part.before, part.after))
    return ", ".join(_aspect(aspect, part) for aspect in different) or "changed"


def _aspect(aspect: str, part: PathPart) -> str:
    before, after = part.before, part.after
    assert before is not None
    assert after is not None
    if aspect == "mode":
        return f"mode {before.mode:04o} -> {after.mode:04o}"
    if aspect == "owner":
        return f"owner {before.uid}:{before.gid} -> {after.uid}:{after.gid}"
    if aspect == "target":
        return f"target {_text(before.target)} -> {_text(after.target)}"
    return "changed" if aspect == "content" else aspect


def _text(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")


def _value(value: object) -> str:
    return "not set" if value is None else str(value)
