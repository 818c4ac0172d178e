"""The merge of what images say beside their trees: each fact by its name."""

from __future__ import annotations

from envbuild.errors import WorkFailed, fields
from envbuild.merge.choices import THEIRS, Choices
from envbuild.merge.conflict import ABSENT, FACT, Conflict, Sides
from envbuild.plan.image_config import Facts, from_plain, to_plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MAPS = ("env", "labels")
_LISTS = ("expose", "volumes")
_PATHS = "PATH"


@fields
class OtherMachines(WorkFailed):
    """Images for different kinds of processors, which have nothing to merge."""

    ours: str
    theirs: str

    def text(self) -> tuple[str, str]:
        return f"the images are for different machines: {self.ours} and {self.theirs}", "merge those of one"


def merge_facts(base: Facts, ours: Facts, theirs: Facts, choices: Choices) -> tuple[Facts, list[Conflict], list[str]]:
    """Return the merged facts, the conflicts, and the names of those that a choice decided.

    Variables and labels are merged by name, ports and volumes each by itself, of the epochs the newer is taken. PATH is
    merged by its folders. Raises OtherMachines.
    """
    if ours.arch != theirs.arch:
        raise OtherMachines(ours.arch, theirs.arch)
    conflicts: list[Conflict] = []
    decided: list[str] = []

    def pick(name: str, was: Any, our: Any, their: Any) -> Any:
        if our == their or their == was:
            return our
        if our == was:
            return their
        if name == f"env.{_PATHS}":
            merged = _path(was, our, their)
            if merged is not None:
                return merged
        side = choices.side_of(name)
        if side:
            decided.append(name)
        else:
            conflicts.append(Conflict(FACT, b"", name, Sides(_shown(was), _shown(our), _shown(their))))
        return their if side == THEIRS else our

    before, left, right = (to_plain(facts) for facts in (base, ours, theirs))
    merged: dict[str, Any] = {}
    for name in sorted(left.keys() | right.keys()):
        was, our, their = before.get(name), left.get(name), right.get(name)
        if our == their or their == was:
            merged[name] = our
        elif our == was:
            merged[name] = their
        elif name == "epoch":
            merged[name] = max(ours.epoch, theirs.epoch)
        elif name in _MAPS:
            sides = [side if isinstance(side, dict) else {} for side in (was, our, their)]
            keys = sorted(sides[1].keys() | sides[2].keys())
            values = {key: pick(f"{name}.{key}", *(side.get(key) for side in sides)) for key in keys}
            merged[name] = {key: value for key, value in values.items() if value is not None}
        elif name in _LISTS:
            old, first, second = (side if isinstance(side, list) else [] for side in (was, our, their))
            kept = [item for item in first if item in second or item not in old]
            merged[name] = sorted({*kept, *(item for item in second if item not in old)})
        else:
            merged[name] = pick(name, was, our, their)
    return from_plain({name: value for name, value in merged.items() if value is not None}), conflicts, decided


def _path(base: Any, ours: Any, theirs: Any) -> str | None:
    """Return a search path to which both sides put folders, in front or behind, None where it is not only that."""
    if not all(isinstance(side, str) for side in (base, ours, theirs)):
        return None
    before, left, right = (side.split(":") for side in (base, ours, theirs))
    ends = [_added(before, side) for side in (left, right)]
    if ends[0] is None or ends[1] is None:
        return None
    (our_front, our_back), (their_front, their_back) = ends[0], ends[1]
    # Which folder of two comes first decides which program runs: known only where but one side put any there.
    if (our_front and their_front) or (our_back and their_back):
        return None
    return ":".join([*our_front, *their_front, *before, *our_back, *their_back])


def _added(base: list[str], side: list[str]) -> tuple[list[str], list[str]] | None:
    for at in range(len(side) - len(base) + 1):
        if side[at : at + len(base)] == base:
            return side[:at], side[at + len(base) :]
    return None


def _shown(value: Any) -> str:
    if value is None:
        return ABSENT
    return value if isinstance(value, str) else str(value)
