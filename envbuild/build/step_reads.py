"""What a step that ran traced has read of its parent tree: what the tracer saw, and what was read to start it."""

from __future__ import annotations

import os

from envbuild.sandbox.hosts import HOSTS
from envbuild.sandbox.spec import Outcome, Request
from envbuild.sandbox.step_tracer import mounts_of
from envbuild.trace.observed import FOLLOW, Event, Observed
from envbuild.trace.reads import CONTENT, LISTING, RIGHTS, Reads
from envbuild.trace.resolver import resolve
from envbuild.tree.entry import Digest
from envbuild.tree.lookup import Trees

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from envbuild.sandbox.spec import Bind


def untracked(*, network: bool, agent: bool, devices: bool, caches: Sequence[Bind]) -> str:
    """Return what a step can read that no tracer sees, to be read behind "the step"; "" for nothing. `caches` are those
    of the step, before it runs."""
    if network:
        return "has a network"
    if agent:
        return "may use an SSH agent"
    if devices:
        return "has devices of the machine"
    if any(os.listdir(cache.source) for cache in caches):
        return "has a cache with something in it"
    return ""


def reads_of(request: Request, outcome: Outcome, trees: Trees, parent: Digest) -> Reads | None:
    """Return what a traced step read; None where it was ended from outside. Of /etc/passwd only the user's home counts,
    which is looked at when the record is used (surroundings.py): else each new account would be read by all."""
    if outcome.observed is None:
        return None
    reads = resolve(outcome.observed, trees, parent, mounts_of(request))
    if reads.untraceable:
        return reads
    started = resolve(Observed(_to_start(request)), trees, parent, ())
    paths = dict(reads.paths)
    for path, access in started.paths.items():
        paths[path] = paths.get(path, 0) | access
    return Reads(paths, started.untraceable)


def _to_start(request: Request) -> tuple[Event, ...]:
    """Return what is read of a tree in order to show it to a step and to start its command."""
    events = [Event(RIGHTS | FOLLOW, b"", b"/" + mount.target) for mount in mounts_of(request)]
    # Whether there is anything in it decides what is shown there.
    events.append(Event(LISTING | RIGHTS | FOLLOW, b"", b"/tmp"))
    if request.names:
        events.append(Event(CONTENT | FOLLOW, b"", os.fsencode(HOSTS)))
    if request.user:
        events.append(Event(CONTENT | FOLLOW, b"", b"/etc/passwd"))
    if request.user:
        events.append(Event(CONTENT | FOLLOW, b"", b"/etc/group"))
    return tuple(events)
