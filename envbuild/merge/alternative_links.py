"""Where the links of an alternative lead after its record was merged."""

from __future__ import annotations

from envbuild.merge.alternatives import FOLDER, LINKS, Alternative, read_alternative
from envbuild.merge.conflict import ABSENT, ALTERNATIVE, Conflict, Sides
from envbuild.record import Record
from envbuild.tree.entry import LINK, Entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from envbuild.merge.three_way import Collision


class LinkPlan(Record):
    """A merged record of update-alternatives: its path, the three contents, and what they came to."""

    path: bytes
    base: bytes
    ours: bytes
    theirs: bytes
    merged: bytes


def links_after(
    plan: LinkPlan, collisions: Mapping[bytes, Collision]
) -> Iterator[tuple[bytes, Entry | Conflict | None]]:
    """Yield the links that a merged record changes, each with its path, None where it is gone: the master's in
    /etc/alternatives, and the slaves'. A name that both sides set by hand, and differently, is a conflict."""
    if not plan.merged:
        return
    merged = read_alternative(plan.merged)
    name = plan.path.removeprefix(FOLDER).decode("utf-8", "surrogateescape")
    master = LINKS + name.encode("utf-8", "surrogateescape")
    collision = collisions.get(master)
    chosen = merged.best
    if merged.status == "manual":
        chosen = _by_hand(plan, merged, collision)
        if not chosen:
            if collision is not None:
                yield master, conflict_of_link(collision)
            return
    if not chosen:
        return
    yield master, _link(master, chosen, collision)
    for slave, target in merged.targets(chosen).items():
        path = LINKS + slave.encode("utf-8", "surrogateescape")
        yield path, None if target is None else _link(path, target, collisions.get(path))
        if target is None:
            yield merged.slaves[slave].strip("/").encode("utf-8", "surrogateescape"), None


def conflict_of_link(collision: Collision) -> Conflict:
    """Return the conflict of a link in /etc/alternatives that both sides turned, and differently."""
    name = collision.path.removeprefix(LINKS).decode("utf-8", "surrogateescape")
    words = Sides(*map(_target, collision.sides))
    return Conflict(ALTERNATIVE, collision.path, name, words, entries=collision.sides)


def _by_hand(plan: LinkPlan, merged: Alternative, collision: Collision | None) -> str:
    """Return what somebody chose, "" where it is not known: the sides' links agree, or two chose differently."""
    if collision is None:
        return ""
    hands = []
    for content, side in ((plan.ours, collision.ours), (plan.theirs, collision.theirs)):
        if content and side is not None and read_alternative(content).status == "manual":
            hands.append(side.target.decode("utf-8", "surrogateescape"))
    chosen = set(hands)
    return chosen.pop() if len(chosen) == 1 and hands[0] in merged.choices else ""


def _link(path: bytes, target: str, collision: Collision | None) -> Entry:
    """Return the link of a side that leads there, else a new one as theirs are."""
    aim = target.encode("utf-8", "surrogateescape")
    sides = [side for side in (collision.sides if collision is not None else ()) if side is not None]
    name = path.rpartition(b"/")[2]
    matching = [side for side in sides if side.target == aim]
    if matching:
        return max(matching, key=lambda side: side.mtime)
    mtime = max((side.mtime for side in sides), default=0)
    return Entry(name, LINK, 0o777, 0, 0, mtime, 0, "", aim)


def _target(side: Entry | None) -> str:
    return ABSENT if side is None else side.target.decode("utf-8", "replace")
