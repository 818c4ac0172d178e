"""The merge of dpkg's diversions and statoverrides: records of which dpkg takes no two for one path (dpkg-divert(1),
dpkg-statoverride(1)); it refuses to work where there are."""

from __future__ import annotations

from envbuild.merge.choices import THEIRS
from envbuild.merge.conflict import ABSENT, RECORD, Clash, Sides
from envbuild.merge.records import BadDatabase, Outcome, merge_records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from envbuild.merge.records import Prefer

    Table = dict[bytes, bytes]
    """Records as they stand in the file, by their paths."""


def merge_diversions(base: bytes, ours: bytes, theirs: bytes, prefer: Prefer) -> Outcome:
    """Merge diversions: three lines each, the path, where it is diverted to, and by which package."""
    return _merge(_diversions, base, ours, theirs, prefer)


def merge_statoverrides(base: bytes, ours: bytes, theirs: bytes, prefer: Prefer) -> Outcome:
    """Merge statoverrides: a line each, with user, group, mode and the path."""
    return _merge(_statoverrides, base, ours, theirs, prefer)


def _merge(read: Callable[[bytes], Table], base: bytes, ours: bytes, theirs: bytes, prefer: Prefer) -> Outcome:
    tables = [read(content) for content in (base, ours, theirs)]
    merged, keys = merge_records(tables[0], tables[1], tables[2], lambda was, left, right: None)
    clashes: list[Clash] = []
    settled: list[str] = []
    for path in sorted(keys):
        sides = [table.get(path) for table in tables]
        subject = path.decode("utf-8", "surrogateescape")
        side = prefer(subject, "")
        if not side:
            clashes.append(Clash(subject, Sides(*map(_shown, sides)), RECORD))
            continue
        settled.append(subject)
        record = sides[2] if side == THEIRS else sides[1]
        if record is None:
            merged.pop(path, None)
        else:
            merged[path] = record
    return Outcome(b"".join(merged.values()), tuple(clashes), tuple(settled))


def _shown(record: bytes | None) -> str:
    return ABSENT if record is None else ", ".join(record.decode("utf-8", "replace").splitlines())


def _diversions(content: bytes) -> Table:
    lines = content.splitlines(keepends=True)
    if len(lines) % 3 or (content and not content.endswith(b"\n")):
        raise BadDatabase
    return _table((lines[at].rstrip(b"\n"), b"".join(lines[at : at + 3])) for at in range(0, len(lines), 3))


def _statoverrides(content: bytes) -> Table:
    records = []
    for line in content.splitlines(keepends=True):
        words = line.rstrip(b"\n").split(b" ", 3)
        if len(words) < 4:
            raise BadDatabase
        records.append((words[3], line if line.endswith(b"\n") else line + b"\n"))
    return _table(records)


def _table(records: Iterable[tuple[bytes, bytes]]) -> Table:
    """Return records by their paths. Raises BadDatabase where there are two for one, which dpkg does not take."""
    table: Table = {}
    for path, record in records:
        if path in table:
            raise BadDatabase
        table[path] = record
    return table
