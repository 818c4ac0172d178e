"""The merge of the RECORD of a Python distribution (packaging.python.org, "Recording installed projects")."""

from __future__ import annotations

from envbuild.merge.choices import THEIRS
from envbuild.merge.conflict import ABSENT, Clash, Sides
from envbuild.merge.records import BadDatabase, Outcome, merge_records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.merge.records import Prefer

MAX_RECORD = 8 << 20
"""Bytes of a RECORD."""


def merge_python_record(base: bytes, ours: bytes, theirs: bytes, prefer: Prefer) -> Outcome:
    """Return the merge of three RECORDs by the paths of their rows. Raises BadDatabase."""
    tables = [_rows(content) for content in (base, ours, theirs)]
    merged, keys = merge_records(tables[0], tables[1], tables[2], lambda was, our, their: None)
    clashes = []
    settled = []
    for key in sorted(keys):
        sides = [table.get(key) for table in tables]
        subject = key.decode("utf-8", "replace")
        side = prefer(subject, "")
        if side:
            settled.append(subject)
            row = sides[2] if side == THEIRS else sides[1]
            if row is None:
                merged.pop(key, None)
            else:
                merged[key] = row
        else:
            clashes.append(Clash(subject, Sides(*map(_shown, sides))))
    return Outcome(b"".join(row + b"\n" for row in merged.values()), tuple(clashes), tuple(settled))


def _rows(content: bytes) -> dict[bytes, bytes]:
    rows: dict[bytes, bytes] = {}
    for line in content.splitlines():
        # The digest and the size have no commas: what is before them is the path, quoted or not.
        path = line.rsplit(b",", 2)[0]
        if line.count(b",") < 2 or path in rows:
            raise BadDatabase
        rows[path] = line
    return rows


def _shown(row: bytes | None) -> str:
    return ABSENT if row is None else row.decode("utf-8", "replace")
