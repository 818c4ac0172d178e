"""What came through the network of the steps of a build, as it goes into the lock, and is held against it."""

from __future__ import annotations

from envbuild.build.events import Notice
from envbuild.build.job import BuildJob
from envbuild.build.progress import StepResult
from envbuild.lockfile.lock import Lock, first_line
from envbuild.lockfile.network_lines import MAX_LINES, beyond, joined, parts_of
from envbuild.store.network_record import NetworkRecord, NetworkRecords

_MAX_SHOWN = 10
"""Hosts that a message names."""


def locked_network(job: BuildJob, results: list[StepResult], before: Lock | None) -> dict[str, NetworkRecord]:
    """Return what the lock is to say of these steps: what it says of the same result already, and what is on record
    beyond that. So what people built elsewhere with other answers leaves the lock as it is."""
    records, room = NetworkRecords(job.store.database), MAX_LINES
    by_key: dict[str, NetworkRecord] = {}
    for result in results:
        kept, own = _kept(before, result), records.get(result.key, result.tree)
        said = own or kept
        if said is not None and room > 0:
            by_key[result.key] = joined(kept, said, room)
            room -= sum(1 for _ in parts_of(by_key[result.key]))
    return by_key


def tell_beyond(job: BuildJob, results: list[StepResult], locked: Lock, path: str) -> None:
    """Say which hosts steps asked that a lock with their results does not have. It is no reason to fail: no pin and no
    tree depends on it."""
    records = NetworkRecords(job.store.database)
    for result in results:
        own = records.get(result.key, result.tree)
        if own is None or result.tree not in locked.results.steps.get(result.key, ()):
            continue
        hosts = beyond(_kept(locked, result), own)
        if hosts:
            from envbuild.text.enumeration import first_of

            named = first_of(hosts, _MAX_SHOWN)
            message = f"'{first_line(result.step.text)}' also asked {named}, which {path} lacks"
            job.reporter.emit(Notice("note", message, "build without --locked to write that into the lock"))


def _kept(lock: Lock | None, result: StepResult) -> NetworkRecord | None:
    """Return what a lock says of the network of a step, if it has the same tree for it."""
    if lock is None or result.tree not in lock.results.steps.get(result.key, ()):
        return None
    return lock.results.network.get(result.key)
