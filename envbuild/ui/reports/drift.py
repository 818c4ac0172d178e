"""What instances have become, as lines and as plain data (docs/drift.md has the forms)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from envbuild.drift.commit import CommitResult
from envbuild.drift.ignore_rules import Rule
from envbuild.drift.instance_drift import Drift
from envbuild.drift.instance_tree import volumes_of
from envbuild.drift.recipe_text import Dropped
from envbuild.drift.unexpressed import NOISE
from envbuild.instances.records import Instance
from envbuild.ui.humanize import count
from envbuild.ui.reports.report import path_of, report_of
from envbuild.ui.reports.screen import Screen
from envbuild.ui.reports.terminal import lines_of
from envbuild.ui.sanitize import visible
from envbuild.ui.stream import Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_FOLDED = ("record", "script", "git")
MAX_SHOWN = 20
"""Paths that are named on a terminal of those that lines do not express."""


def drift_plain(drift: Drift, *, files: bool) -> dict[str, Any]:
    """Return the documented form of one instance's drift."""
    comparison = drift.comparison
    return {
        "instance": drift.instance.name,
        "id": drift.instance.identity,
        "image": f"sha256:{drift.instance.image}",
        "reference": drift.reference,
        "state": drift.state.status,
        "moved_on": drift.moved_on,
        "problem": drift.problem,
        "drifted": drift.is_any,
        "noise": noise_plain(rule for _, rule in drift.noise),
        "volumes": volumes_plain(drift.instance),
        "diff": None if comparison is None else report_of(comparison, files=files),
    }


def drift_lines(plain: dict[str, Any], output: Output, screen: Screen, *, everything: bool) -> Iterator[str]:
    """Return the lines of one instance's drift, from its documented form."""
    name = f"{visible(plain['instance'])} ({plain['state']})"
    if plain["problem"]:
        yield f"{output.paint(name, 'strong')}: {output.paint(visible(plain['problem']), 'warning')}"
        return
    if plain["drifted"]:
        if "files" in plain["diff"]:
            yield output.paint(f"{visible(plain['diff']['old']['name'])}  ->  {visible(plain['instance'])}", "strong")
        yield from lines_of({**plain["diff"], "same": False}, output, everything=everything, screen=screen)
    else:
        yield f"{output.paint(name, 'strong')}: as its image {visible(plain['diff']['old']['name'])}"
    if plain["noise"]:
        yield output.paint(f"left out as noise: {noise_line(plain['noise'])} (--all shows it)", "dim")
    yield from _volumes(plain, output)
    if plain["moved_on"]:
        yield output.paint(
            f"{visible(plain['moved_on'])} names another image by now than this instance runs", "warning"
        )


def commit_plain(committed: CommitResult) -> dict[str, Any]:
    """Return the documented form of a commit."""
    written = committed.written
    unexpressed = written.unexpressed if written is not None else ()
    return {
        "instance": committed.instance.name,
        "base": f"sha256:{committed.base.digest}",
        "image": f"sha256:{committed.image}",
        "tree": f"sha256:{committed.tree}",
        "tag": committed.tag,
        "changed": committed.tree != committed.base.tree,
        "recipe": committed.recipe,
        "from": committed.start.text if committed.start is not None else None,
        "portable": committed.start.portable if committed.start is not None else None,
        "lines": [line.text for line in written.lines] if written is not None else [],
        "files": len(written.plan.files) if written is not None else 0,
        "checked": written is not None and written.tree is not None,
        "dropped": dropped_plain(written.dropped) if written is not None else [],
        "noise": noise_plain(o.rule for o in unexpressed if o.rule is not None),
        "not_expressed": [
            {**path_of(o.change), "why": o.kind, "reason": o.reason} for o in unexpressed if o.kind != NOISE
        ],
        "volumes": volumes_plain(committed.instance),
        "secrets": ["/" + path.decode("utf-8", "backslashreplace") for path in committed.secrets],
    }


def commit_lines(plain: dict[str, Any], output: Output) -> Iterator[str]:
    """Return the lines of a commit, from its documented form."""
    digest = plain["image"].removeprefix("sha256:")
    yield f"{output.paint(plain['tag'], 'good')} = {digest}"
    if not plain["changed"]:
        yield f"nothing was changed in {visible(plain['instance'])}: it is as its image, and no recipe was written"
        yield from _volumes(plain, output)
        return
    if plain["recipe"] is not None:
        files = f", which copy {count(plain['files'], 'file')}" if plain["files"] else ""
        yield f"{visible(plain['recipe'])} has {count(len(plain['lines']), 'line')}{files}"
    yield from dropped_lines(plain["dropped"], output)
    if plain["noise"]:
        yield output.paint(f"not in the recipe, as noise: {noise_line(plain['noise'])}", "dim")
    yield from _volumes(plain, output)
    yield from unexpressed_lines(plain["not_expressed"], output)
    if plain["secrets"]:
        yield output.paint(
            "the image has what look like keys or passwords; do not hand it on without a look:", "warning"
        )
        yield from (f"  {visible(path)}" for path in plain["secrets"][:MAX_SHOWN])
    if plain["recipe"] is None:
        return
    if not plain["portable"]:
        yield output.paint("it starts from a digest that only this store has: nobody else can build it", "warning")
    if plain["checked"]:
        rest = " but for what is named above" if plain["not_expressed"] or plain["noise"] else ""
        yield f"the recipe was built: it gives the same tree{rest}"
    else:
        yield output.paint(
            "the recipe was not built, so whether it gives the same is not known (--no-build)", "warning"
        )


def volumes_plain(instance: Instance) -> list[dict[str, str]]:
    """Return where an instance has volumes: what is in them is in no comparison and no commit."""
    return [{"path": path, "volume": volume} for path, volume in volumes_of(instance)]


def volume_line(plain: dict[str, str]) -> str:
    """Return what is said of a volume that is left out."""
    return f"left out: {visible(plain['path'])}, which is the volume {visible(plain['volume'])}"


def _volumes(plain: dict[str, Any], output: Output) -> Iterator[str]:
    yield from (output.paint(volume_line(volume), "dim") for volume in plain["volumes"])


def dropped_plain(dropped: Iterable[Dropped]) -> list[dict[str, str]]:
    """Return the documented form of lines that could not be built."""
    return [{"line": row.line.text, "reason": row.reason} for row in dropped]


def dropped_lines(dropped: list[dict[str, str]], output: Output) -> Iterator[str]:
    """Yield what is said of lines that could not be built."""
    for row in dropped:
        line = visible(" ".join(row["line"].split()))
        yield output.paint(f"could not be built, files do it instead: {line}", "warning")
        yield f"  {visible(row['reason'])}"


def unexpressed_lines(paths: list[dict[str, Any]], output: Output, folded_too: Iterable[str] = ()) -> Iterator[str]:
    """Yield what is said of paths that lines do not express; those of some kinds are only counted."""
    if not paths:
        return
    kinds = {*_FOLDED, *folded_too}
    yield output.paint(f"not in the recipe: {count(len(paths), 'path')}", "warning")
    folded = Counter(path["reason"] for path in paths if path["why"] in kinds)
    yield from (f"  {count(number, 'path')}: {reason}" for reason, number in folded.items())
    named = [path for path in paths if path["why"] not in kinds]
    for row in named[:MAX_SHOWN]:
        what = f"{row['verb']} {', '.join(row['what'])}".rstrip()
        yield f"  {visible(row['path'])}  {what}: {row['reason']}"
    if len(named) > MAX_SHOWN:
        yield f"  and {len(named) - MAX_SHOWN} more (at the end of the recipe, and with --format json)"


def noise_plain(rules: Iterable[Rule]) -> list[dict[str, Any]]:
    """Return how many paths each rule made noise."""
    counted = Counter(rules)
    return [{"rule": rule.name, "reason": rule.reason, "paths": number} for rule, number in counted.items()]


def noise_line(noise: list[dict[str, Any]]) -> str:
    """Return the same in words."""
    total = sum(line["paths"] for line in noise)
    rules = ", ".join(f"{line['rule']} {line['paths']}" for line in noise)
    return f"{count(total, 'path')} ({rules})"
