"""What going back will do and what it came to, for a terminal and as JSON."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from envbuild.capture.going_back import Restored
from envbuild.capture.restore_plan import RestorePlan, Step
from envbuild.text.escapes import escaped
from envbuild.tree.entry import KIND_WORDS, Entry
from envbuild.ui.humanize import count
from envbuild.ui.sanitize import visible

_MARKS = {"create": "+", "replace": "~", "change": "~", "remove": "-"}


def action_of(step: Step) -> str:
    """Return what a step does, in a word."""
    if step.entry is None:
        return "remove"
    if step.now is None:
        return "create"
    return "change" if step.entry.kind == "d" and not step.is_new_directory else "replace"


def plan_lines(plan: RestorePlan) -> Iterator[str]:
    """Yield what will be done, as lines for a terminal."""
    for step in plan.steps:
        yield f"{_MARKS[action_of(step)]} {_shown(step.path)}{_detail(step)}"
    for refused in plan.refused:
        yield f"! {_shown(refused.path)}: stays as it is: {visible(refused.reason)}"
    if plan.extra_count:
        shown = ", ".join(_shown(path) for path in plan.extra[:5])
        more = ", ..." if plan.extra_count > 5 else ""
        yield f"not in the capture, and stays: {count(plan.extra_count, 'path')}: {shown}{more}"
    if not plan.steps and not plan.refused:
        yield "everything named is as it was"


def result_lines(restored: Restored) -> Iterator[str]:
    """Yield what was done."""
    if restored.saved is not None:
        yield f"saved what was there as {restored.saved.name} = {restored.saved.image.digest[:12]}"
    yield f"put back: {count(len(restored.done), 'path')}"
    for failed in restored.failed:
        yield f"! {_shown(failed.path)}: stays as it was: {visible(failed.reason)}"


def restore_plain(plan: RestorePlan, restored: Restored | None, image: str) -> dict[str, Any]:
    """Return a plan, and what was done of it, as JSON types."""
    done = {step.path for step in restored.done} if restored is not None else set()
    return {
        "image": f"sha256:{image}",
        "steps": [
            {
                "path": escaped(step.path),
                "action": action_of(step),
                "kind": KIND_WORDS[_thing(step).kind],
                "aspects": list(step.aspects),
                "inside": step.inside,
                "done": step.path in done,
            }
            for step in plan.steps
        ],
        "refused": [{"path": escaped(row.path), "reason": row.reason} for row in plan.refused],
        "failed": [{"path": escaped(row.path), "reason": row.reason} for row in restored.failed] if restored else [],
        "extra": [escaped(path) for path in plan.extra],
        "extra_count": plan.extra_count,
        "unchanged": plan.unchanged,
        "saved": f"sha256:{restored.saved.image.digest}" if restored is not None and restored.saved else None,
    }


def _thing(step: Step) -> Entry:
    thing = step.entry or (step.now.entry if step.now is not None else None)
    assert thing is not None
    return thing


def _shown(path: bytes) -> str:
    return f"/{visible(os.fsdecode(path))}"


def _detail(step: Step) -> str:
    words = []
    now = step.now.entry if step.now is not None else None
    entry = step.entry
    if entry is not None and now is not None:
        for aspect in step.aspects:
            words.append(_change(aspect, now, entry))
    elif entry is not None and step.inside:
        words.append(f"with {count(step.inside, 'path')} in it")
    links = step.now.links if step.now is not None else 1
    if links > 1 and now is not None and now.kind == "f":
        words.append(f"its {count(links - 1, 'other name')} (hard links) stay as they are")
    return f"  ({'; '.join(words)})" if words else ""


def _change(aspect: str, now: Entry, entry: Entry) -> str:
    match aspect:
        case "kind":
            return f"{KIND_WORDS[now.kind]} -> {KIND_WORDS[entry.kind]}"
        case "mode":
            return f"mode {now.mode:o} -> {entry.mode:o}"
        case "owner":
            return f"owner {now.uid}:{now.gid} -> {entry.uid}:{entry.gid}"
        case "target":
            return f"{visible(os.fsdecode(now.target))} -> {visible(os.fsdecode(entry.target))}"
        case _:
            return aspect
