"""Why the steps of one build run: each cause is said once, and of what follows from it, which step it follows."""

from __future__ import annotations

from envbuild.build.cache_miss import Explainer
from envbuild.build.events import StepExplained
from envbuild.build.progress import Progress, StageProgress
from envbuild.build.reporter import event_of
from envbuild.build.walk import PendingStep
from envbuild.language.base_kinds import RecipeBase, StageBase
from envbuild.packages.plain_names import plain_name
from envbuild.plan import key_parts
from envbuild.plan.key_parts import Parts
from envbuild.store.step_cache import Source
from envbuild.store.store import Store
from envbuild.text.enumeration import first_of
from envbuild.text.pattern import Pattern

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = Pattern(r"@?[^=<>!~\[:;@\s]+")
_MAX_SHOWN = 3


class StepExplanations:
    """Explains the steps of one build, from any thread. `made` are the numbers of the stages whose base is made by this
    build."""

    def __init__(self, store: Store, progress: Progress, made: frozenset[int]) -> None:
        self._store = store
        self._explainer = Explainer(store)
        self._progress = progress
        self._made = made
        self._causes: dict[int, int] = {}
        """Of each step that runs only because another one came out differently, that one; by their event numbers."""

    def of(
        self, at: StageProgress, pending: PendingStep, event: int, parts: Parts, source: Source, not_used: str
    ) -> StepExplained:
        """Return why a step runs. `not_used` says why its result is not used although it is known, "" if it is not."""
        if not_used:
            return StepExplained(event, (not_used,), (not_used,), 0)
        text = self._store.steps.nearest(pending.step.text, source, [step.text for step in at.steps])
        before = key_parts.load(text) if text else None
        reasons = self._explainer.reasons(before, parts, pending.inputs)
        follows = self._follows(at, pending.number) if before is not None and before.parent != parts.parent else 0
        if before is None:
            return StepExplained(event, reasons, reasons, 0)
        # What differs in the tree that it starts from is told where that came from.
        baseline = before.replace(parent=parts.parent) if follows else before
        if baseline == parts:
            self._causes[event] = follows
            return StepExplained(event, reasons, (), follows)
        return StepExplained(event, reasons, self._causes_of(baseline, parts, pending), follows)

    def _causes_of(self, before: Parts, after: Parts, pending: PendingStep) -> tuple[str, ...]:
        if after.action != "InstallPackages" or before.action != after.action:
            return self._explainer.reasons(before, after, pending.inputs)
        changed = packages_changed(before, after)
        others = self._explainer.reasons(_without_packages(before), _without_packages(after), pending.inputs)
        same = _without_packages(before) == _without_packages(after)
        return tuple(filter(None, (changed, *(() if same else others)))) or others

    def _follows(self, at: StageProgress, number: int) -> int:
        """Return the number in events of the step of this build whose other result a step starts from; 0 if the step
        before it did not run."""
        stage = at.stage
        results = at.results[: min(number, len(at.results))]
        if not results and isinstance(stage.base, (StageBase, RecipeBase)):
            below = self._progress.get(self._progress.graph.stages[stage.needs[0]])
            return self._follows(below, len(below.results)) if below is not None else 0
        if not results:
            return stage.event if stage.number in self._made else 0
        last = results[-1]
        event = event_of(stage, last.number)
        return 0 if last.cached else self._causes.get(event, event)


def packages_changed(before: Parts, after: Parts) -> str:
    """Return `packages: +curl -git, and 12 that they need`: what a statement about packages no longer says the same of;
    "" if that is nothing."""
    was, now = _wanted(before), _wanted(after)
    if not was and not now:
        return _changed_in_lock(_packages(before), _packages(after))
    named = [f"+{word}" for word in now if word not in was] + [f"-{word}" for word in was if word not in now]
    asked = {match[0] for word in (*was, *now) if (match := _NAME.match(word))}
    old, new = _packages(before), _packages(after)
    needed = len([name for name in new if name not in old and name not in asked])
    dropped = len([name for name in old if name not in new and name not in asked])
    moved = [_moved(name, old[name], new[name]) for name in new if name in old and old[name] != new[name]]
    parts = [" ".join(named)] if named else []
    if needed:
        parts.append(f"{'and ' if named else ''}{needed} that {'they need' if len(named) > 1 else 'it needs'}")
    if dropped:
        parts.append(f"{dropped} no longer needed")
    if moved:
        parts.append(first_of(moved, _MAX_SHOWN))
    return f"packages: {', '.join(parts)}" if parts else ""


def _changed_in_lock(before: Mapping[str, tuple[str, str]], after: Mapping[str, tuple[str, str]]) -> str:
    """Return what differs where the file of a project says which packages there are, such as a Cargo.lock."""
    old, new = _by_plain_name(before), _by_plain_name(after)
    changes = [f"+{name}" for name in new if name not in old] + [f"-{name}" for name in old if name not in new]
    for name in new:
        if name in old and old[name] != new[name]:
            was, now = (" and ".join(sorted({version for version, _ in side[name]})) for side in (old, new))
            changes.append(_moved(name, (was, ""), (now, "")))
    return f"packages: {first_of(changes, _MAX_SHOWN)}" if changes else ""


def _by_plain_name(packages: Mapping[str, tuple[str, str]]) -> dict[str, set[tuple[str, str]]]:
    named: dict[str, set[tuple[str, str]]] = {}
    for name, package in packages.items():
        named.setdefault(plain_name(name), set()).add(package)
    return named


def _moved(name: str, old: tuple[str, str], new: tuple[str, str]) -> str:
    return f"{name} {old[0]} -> {new[0]}" if old[0] != new[0] else f"other content of {name} {new[0]}"


def _wanted(parts: Parts) -> list[str]:
    wanted = dict(parts.fields).get("wanted")
    return [str(word) for word in wanted] if isinstance(wanted, tuple) else []


def _packages(parts: Parts) -> dict[str, tuple[str, str]]:
    """Return version and digest of each package that a step took, by its name."""
    words = ((taken.name.partition(" "), taken.digest) for taken in parts.inputs)
    return {name: (version, digest) for (name, _, version), digest in words if version}


def _without_packages(parts: Parts) -> Parts:
    fields = tuple((name, value) for name, value in parts.fields if name != "wanted")
    return parts.replace(fields=fields, inputs=tuple(taken for taken in parts.inputs if " " not in taken.name))
