"""What two builds asked of the network, compared: hosts that only one of them asked, and answers that differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from envbuild.record import Pairs, Record
from envbuild.store.network_record import MACHINE, NetworkRecord

MODE, HOST, MORE, REFUSED, ANSWER = "mode", "host", "more", "refused", "answer"
COMMIT = "commit"
"""What differs: how far the network reaches, a host that was asked or refused, an answer over plain HTTP, and that
there was more than is listed; or the commit of a git repository."""


class NetworkChange(Record):
    """One difference. `verb` is added, removed or changed; `old` and `new` are digests of answers, "" for other kinds
    and where there is none."""

    kind: str
    verb: str
    name: str
    old: str = ""
    new: str = ""


def network_changes(old: Iterable[NetworkRecord], new: Iterable[NetworkRecord]) -> tuple[NetworkChange, ...]:
    """Return what differs between all that two builds asked, what matters most first."""
    before, after = tuple(old), tuple(new)
    return (
        *_members(MODE, _open(before), _open(after)),
        *_members(HOST, _hosts(before), _hosts(after)),
        *_members(MORE, _unlisted(before), _unlisted(after)),
        *_members(REFUSED, _refused(before), _refused(after)),
        *_answers(before, after),
    )


def commit_changes(old: Pairs, new: Pairs) -> Iterator[NetworkChange]:
    """Yield the addresses of git repositories at which two builds had other commits, or that only one of them has."""
    before, after = dict(old), dict(new)
    for url in sorted(before.keys() | after.keys()):
        was, now = before.get(url, ""), after.get(url, "")
        if was != now:
            yield NetworkChange(COMMIT, "changed" if was and now else "added" if now else "removed", url, was, now)


def _members(kind: str, before: set[str], after: set[str]) -> Iterator[NetworkChange]:
    for name in sorted(after - before):
        yield NetworkChange(kind, "added", name)
    for name in sorted(before - after):
        yield NetworkChange(kind, "removed", name)


def _answers(before: Iterable[NetworkRecord], after: Iterable[NetworkRecord]) -> Iterator[NetworkChange]:
    old, new = _by_address(before), _by_address(after)
    for name in sorted(old.keys() & new.keys()):
        if old[name] != new[name]:
            yield NetworkChange(ANSWER, "changed", name, " ".join(sorted(old[name])), " ".join(sorted(new[name])))
    for name in sorted(new.keys() - old.keys()):
        yield NetworkChange(ANSWER, "added", name, "", " ".join(sorted(new[name])))
    for name in sorted(old.keys() - new.keys()):
        yield NetworkChange(ANSWER, "removed", name, " ".join(sorted(old[name])))


def _by_address(records: Iterable[NetworkRecord]) -> dict[str, set[str]]:
    by_address: dict[str, set[str]] = {}
    for record in records:
        for answer in record.answers:
            digests = by_address.setdefault(f"{answer.method} {answer.address}", set())
            digests.add(f"sha256:{answer.sha256}" if answer.status == 200 else f"{answer.status}")
    return by_address


def _open(records: Iterable[NetworkRecord]) -> set[str]:
    return {"network=host" for record in records if record.mode == MACHINE}


def _unlisted(records: Iterable[NetworkRecord]) -> set[str]:
    return {"that is not listed" for record in records if record.more}


def _hosts(records: Iterable[NetworkRecord]) -> set[str]:
    return {host for record in records for host in record.asked}


def _refused(records: Iterable[NetworkRecord]) -> set[str]:
    return {host for record in records for host in record.refused}
