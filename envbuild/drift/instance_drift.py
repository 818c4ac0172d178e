"""How far an instance has gone from its image: what was changed by hand, apart from the noise of running."""

from __future__ import annotations

from envbuild.drift.ignore_rules import Noise, Rule, is_directory
from envbuild.drift.instance_operand import Belonging, side_before, side_of_instance
from envbuild.history.compare import Comparison, compare
from envbuild.images.image_facts import facts_of
from envbuild.instances.records import Instance, State
from envbuild.record import Record
from envbuild.store.store import Store
from envbuild.tree.diff import Change


class Drift(Record):
    """One instance: `comparison` is of its image and itself, without what is noise; `noise` has that, with the rule of
    each path. `comparison` is None where `problem` says why nothing can be known. `moved_on` is the name that has
    another image by now than the one that the instance runs, "" if it has not."""

    instance: Instance
    state: State
    moved_on: str
    comparison: Comparison | None
    noise: tuple[tuple[Change, Rule], ...] = ()
    problem: str = ""

    @property
    def is_any(self) -> bool:
        """Whether anything was changed; where that can't be known, it counts as such."""
        one = self.comparison
        return one is None or bool(one.packages or one.facts or one.rest)


def drift_of(store: Store, one: Belonging, *, everything: bool = False) -> Drift:
    """The drift of an instance; with `everything` nothing is noise. The process has to be root of the namespace."""
    instance = one.instance
    state = store.instances.state(instance)
    image = store.images.get(instance.image)
    if image is None or not store.trees.has(image.tree):
        problem = "its image is no longer in the store" if instance.image else "it is of no image"
        return Drift(instance, state, one.moved_on, None, problem=problem)
    comparison = compare(store, side_before(store, instance, image), side_of_instance(store, instance))
    if everything:
        return Drift(instance, state, one.moved_on, comparison)
    rules = Noise(facts_of(image).volumes)
    rest, noise = [], []
    for change in comparison.rest:
        rule = rules.rule(change.path, is_directory(change))
        if rule is None:
            rest.append(change)
        else:
            noise.append((change, rule))
    return Drift(instance, state, one.moved_on, comparison.replace(rest=tuple(rest)), tuple(noise))
