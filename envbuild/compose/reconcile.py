"""Deciding what `up` does for each service: nothing if it runs as described; start it again if it has ended."""

from __future__ import annotations

from envbuild.compose.file.model import Group
from envbuild.compose.instance_plan import Plan
from envbuild.compose.members import is_over, members
from envbuild.instances.records import Instance, Instances
from envbuild.record import Record
from envbuild.store.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

KEEP, RESUME, CREATE, RECREATE = "keep", "resume", "create", "recreate"


class Decision(Record):
    """What is done for a service, with the instance that is there. `holds` are the ports that this has open, as
    (address, port, inside, protocol)."""

    plan: Plan
    action: str
    instance: Instance | None = None
    holds: tuple[tuple[object, ...], ...] = ()


def decide(store: Store, group: Group, plans: Sequence[Plan], *, force: bool = False) -> tuple[Decision, ...]:
    """Return the decisions, in the order of the plans. With `force` all is made anew."""
    instances = Instances.of(store.path)
    there = {member.service: member for member in members(instances, group.name)}
    decisions: dict[str, Decision] = {}
    for plan in plans:
        known = there.get(plan.service.name)
        if known is None:
            decisions[plan.service.name] = Decision(plan, CREATE)
            continue
        state = instances.state(known.instance)
        if (
            force
            or known.digest != plan.digest
            or known.instance.name != plan.name
            or any(
                dependency.restart and _is_new(decisions.get(dependency.service)) for dependency in plan.service.depends
            )
        ):
            action = RECREATE
        else:
            action = RESUME if is_over(state) else KEEP
        ports = () if is_over(state) else state.ports
        decisions[plan.service.name] = Decision(plan, action, known.instance, ports)
    return tuple(decisions.values())


def _is_new(decision: Decision | None) -> bool:
    return decision is not None and decision.action == RECREATE
