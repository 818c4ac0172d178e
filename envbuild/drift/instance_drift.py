"""The drift of an instance from its image: the changes made by hand, without the noise of running."""

from __future__ import annotations

from envbuild.drift.ignore_rules import IgnoreRules, Rule, is_directory
from envbuild.drift.instance_operand import InstanceOfImage, operand_of_instance, operand_of_instance_image
from envbuild.history.compare import Comparison, compare
from envbuild.history.notices import PRIVILEGE
from envbuild.images.find import facts_of
from envbuild.instances.records import Instance, Instances, State
from envbuild.record import Record
from envbuild.store.store import Store
from envbuild.tree.diff import Change


class Drift(Record):
    """The drift of an instance. `comparison` compares it with its image, without noise; `noise` has the changes left
    out, each with its rule. `comparison` is None if `problem` says why nothing can be known. `moved_on` is the name
    that by now has another image than the instance runs, else ""; `reference` the name that it was started by."""

    instance: Instance
    state: State
    moved_on: str
    comparison: Comparison | None
    noise: tuple[tuple[Change, Rule], ...] = ()
    problem: str = ""
    reference: str = ""

    @property
    def is_any(self) -> bool:
        """Whether anything was changed; if that can't be known, True."""
        comparison = self.comparison
        return comparison is None or bool(
            comparison.packages or comparison.facts or comparison.rest or comparison.notices
        )


def drift_of(store: Store, entry: InstanceOfImage, *, everything: bool = False) -> Drift:
    """Return the drift of an instance; with `everything` nothing is noise. The process must be root of the
    namespace."""
    drift = _drift_of(store, entry, everything=everything)
    return drift.replace(reference=store.projects.shown(entry.instance.reference))


def _drift_of(store: Store, entry: InstanceOfImage, *, everything: bool) -> Drift:
    instance = entry.instance
    state = Instances.of(store.path).state(instance)
    image = store.images.get(instance.image)
    if image is None or not store.trees.has(image.tree):
        problem = "its image is no longer in the store" if instance.image else "it was not started from an image"
        return Drift(instance, state, entry.moved_on, None, problem=problem)
    comparison = compare(store, operand_of_instance_image(store, instance, image), operand_of_instance(store, instance))
    if everything:
        return Drift(instance, state, entry.moved_on, comparison)
    rules = IgnoreRules(facts_of(image).volumes)
    # A program with the rights of others is none of what running leaves behind, wherever it lies.
    privileged = {notice.change.path for notice in comparison.notices if notice.kind == PRIVILEGE}
    rest, noise = [], []
    for change in comparison.rest:
        rule = rules.rule(change.path, is_directory(change))
        if rule is None or change.path in privileged:
            rest.append(change)
        else:
            noise.append((change, rule))
    left_out = {change.path for change, _ in noise}
    notices = tuple(notice for notice in comparison.notices if notice.change.path not in left_out)
    return Drift(instance, state, entry.moved_on, comparison.replace(rest=tuple(rest), notices=notices), tuple(noise))
