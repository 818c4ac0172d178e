"""Whether a service is as another one that depends on it wants it to be."""

from __future__ import annotations

from envbuild.compose import events
from envbuild.compose.file.model import COMPLETED, HEALTHY
from envbuild.compose.members import is_over
from envbuild.instances.health import HEALTHY as WELL
from envbuild.instances.health import UNHEALTHY
from envbuild.instances.records import EXITED, State
from envbuild.record import Record


class Standing(Record):
    """`holds` is what it has become, "" while that is not so yet; `failed` why it never will be. `check` is what its
    check printed last."""

    holds: str = ""
    failed: str = ""
    check: str = ""


def standing(condition: str, state: State) -> Standing:
    """How an instance that was started stands to a condition."""
    if condition == HEALTHY:
        if state.health == WELL:
            return Standing(events.HEALTHY)
        if state.health == UNHEALTHY:
            return Standing(failed="it is unhealthy", check=state.check)
        return Standing(failed=how_it_ended(state)) if is_over(state) else Standing()
    if condition == COMPLETED:
        if not is_over(state):
            return Standing()
        well = state.status == EXITED and state.code == 0
        return Standing(events.COMPLETED) if well else Standing(failed=how_it_ended(state))
    return Standing(events.STARTED)


def how_it_ended(state: State) -> str:
    """The end of an instance in words."""
    if state.status != EXITED:
        return "its supervisor was killed"
    return f"it ended with exit code {state.code}" + (f": {state.error}" if state.error else "")
