"""What garbage collection and fsck have to know of instances."""

from __future__ import annotations

from envbuild.instances.records import Instances
from envbuild.store.fsck import Problem
from envbuild.store.reachability import Pins


def pins(instances: Instances) -> Pins:
    """Return what instances need of the store."""
    recorded = instances.all()
    return Pins(
        images=frozenset(instance.image for instance in recorded),
        trees=frozenset(instance.tree for instance in recorded),  # those of clones are no image's
        layers=frozenset(instances.layers_in_use()),
    )


def check_instances(instances: Instances, repair: bool) -> list[Problem]:
    """Return what is wrong with records of instances; with `repair` those that don't run are put aside."""
    problems = []
    for damaged in instances.damaged():
        problems.append(Problem("instance", damaged.name, damaged.reason))
        if repair and not instances.is_supervised(damaged):
            instances.put_aside(damaged)
    return problems
