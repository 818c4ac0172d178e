"""The merge of accounts: passwd(5), group(5), shadow(5), gshadow(5), subuid(5), and the numbers in them."""

from __future__ import annotations

from envbuild.linux.passwd import MAX_ID, account_number
from envbuild.merge.choices import OURS
from envbuild.merge.conflict import ABSENT, ID, Clash, Sides
from envbuild.merge.records import BadDatabase, Outcome, merge_records
from envbuild.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from envbuild.merge.records import Prefer

    Row = tuple[bytes, ...]

MAX_ACCOUNTS = 16 << 20
"""Bytes of each of the files."""
FIRST_USER, FIRST_SYSTEM = 1000, 100
"""Where ordinary users begin, and where adduser numbers those of packages from (Debian policy 9.2.2)."""
LAST = {FIRST_USER: 59_999, FIRST_SYSTEM: 999}
_USER, _GROUP = "user", "group"


class AccountFile(Record):
    """A file of accounts: how many fields its lines have, which is a number that one account alone has (-1 for none),
    and which fields are lists."""

    width: int
    number: int = -1
    lists: tuple[int, ...] = ()
    what: str = _USER


FILES = {
    b"etc/passwd": AccountFile(7, 2),
    b"etc/group": AccountFile(4, 2, (3,), _GROUP),
    b"etc/shadow": AccountFile(9),
    b"etc/gshadow": AccountFile(4, -1, (2, 3), _GROUP),
}
RANGES = (b"etc/subuid", b"etc/subgid")


class Renumbering(Record):
    """New numbers for accounts of theirs, by the old ones."""

    users: tuple[tuple[int, int], ...] = ()
    groups: tuple[tuple[int, int], ...] = ()


def read_rows(file: AccountFile, content: bytes) -> dict[bytes, Row]:
    """Return the rows of a file by name. Raises BadDatabase where a line is none of it."""
    rows: dict[bytes, Row] = {}
    for line in content.split(b"\n"):
        if not line:
            continue
        row = tuple(line.split(b":"))
        if len(row) != file.width or row[0] in rows:
            raise BadDatabase
        rows[row[0]] = row
    return rows


def merge_accounts(file: AccountFile, base: bytes, ours: bytes, theirs: bytes, prefer: Prefer) -> Outcome:
    """Return the merge of such a file, by name and field by field. Raises BadDatabase.

    A number that both gave, to different names, is a clash. The last change of a password counts.
    """
    tables = [read_rows(file, content) for content in (base, ours, theirs)]

    def join(was: Row | None, left: Row, right: Row) -> Row | None:
        return _joined(file, was, left, right)

    merged, keys = merge_records(tables[0], tables[1], tables[2], join)
    clashes: list[Clash] = []
    settled: list[str] = []
    for key in sorted(keys):
        subject = f"{file.what} {_text(key)}"
        side = prefer(subject, "")
        rows = [table.get(key) for table in tables]
        if side:
            settled.append(subject)
            chosen = rows[1] if side == OURS else rows[2]
            if chosen is None:
                merged.pop(key, None)
            else:
                merged[key] = chosen
        else:
            shown = Sides(*(ABSENT if row is None else _text(b":".join(_shown(file, row))) for row in rows))
            clashes.append(Clash(subject, shown))
    if file.number >= 0:
        clashes += _same_numbers(file, tables, merged)
    content = b"".join(b":".join(row) + b"\n" for row in merged.values())
    return Outcome(content, tuple(clashes), tuple(settled))


def _joined(file: AccountFile, was: Row | None, ours: Row, theirs: Row) -> Row | None:
    before: Row = was or tuple(b"" for _ in ours)
    fields = []
    for at, (old, left, right) in enumerate(zip(before, ours, theirs, strict=True)):
        if left == right or (was is not None and right == old):
            fields.append(left)
        elif was is not None and left == old:
            fields.append(right)
        elif at in file.lists:
            fields.append(_joined_members(old, left, right))
        elif file.width == 9 and at == 2 and left.isdigit() and right.isdigit():
            fields.append(max(left, right, key=int))  # the day of the last change
        elif file.width == 7 and at == 4 and left.rstrip(b",") == right.rstrip(b","):
            fields.append(max(left, right))  # adduser writes an empty comment as `,,,`
        else:
            return None
    return tuple(fields)


def _joined_members(base: bytes, ours: bytes, theirs: bytes) -> bytes:
    before, left, right = ([name for name in text.split(b",") if name] for text in (base, ours, theirs))
    kept = [name for name in left if name in right or name not in before]
    kept += sorted(name for name in right if name not in before and name not in kept)
    return b",".join(kept)


def _shown(file: AccountFile, row: Row) -> Row:
    """Return a row without what is secret: the password."""
    return (row[0], b"*" if row[1] not in (b"", b"x", b"!", b"*") else row[1], *row[2:])


def _same_numbers(file: AccountFile, tables: list[dict[bytes, Row]], merged: Mapping[bytes, Row]) -> list[Clash]:
    """Return the numbers that each side gave to another name."""
    before, ours, theirs = tables
    our_numbers = {row[file.number]: name for name, row in ours.items() if before.get(name) != row}
    clashes = []
    for name, row in theirs.items():
        number = row[file.number]
        other = our_numbers.get(number)
        if before.get(name) == row or other is None or other == name or name not in merged or other not in merged:
            continue
        if merged[name][file.number] != number or merged[other][file.number] != number:
            continue
        was = next((known for known, held in before.items() if held[file.number] == number), b"")
        id_name = "uid" if file.what == _USER else "gid"
        clashes.append(
            Clash(f"{id_name} {_text(number)}", Sides(_text(was) or ABSENT, _text(other), _text(name)), kind=ID)
        )
    return clashes


def merge_ranges(base: bytes, ours: bytes, theirs: bytes, prefer: Prefer) -> Outcome:
    """Return the merge of a file of subordinate ids: lines stand each for itself; ranges that overlap where each side
    added one are a clash. Raises BadDatabase."""
    tables = [_ranges(content) for content in (base, ours, theirs)]
    before, left, right = tables
    kept = [row for row in left if row in right or row not in before]
    clashes = []
    for row in right:
        if row in before or row in kept:
            continue
        for other in kept:
            if other not in before and row[1] < other[1] + other[2] and other[1] < row[1] + row[2]:
                clashes.append(Clash(f"range {row[1]}", Sides(ABSENT, _text(other[0]), _text(row[0])), kind=ID))
                break
        kept.append(row)
    content = b"".join(b"%s:%d:%d\n" % row for row in kept)
    return Outcome(content, tuple(clashes))


def _ranges(content: bytes) -> list[tuple[bytes, int, int]]:
    rows = []
    for line in content.split(b"\n"):
        if not line:
            continue
        parts = line.split(b":")
        numbers = [account_number(part.decode("ascii", "replace")) for part in parts[1:]]
        if len(numbers) != 2 or numbers[0] is None or numbers[1] is None:
            raise BadDatabase
        rows.append((parts[0], numbers[0], numbers[1]))
    if len(rows) > 10_000:
        raise BadDatabase
    return rows


def renumbering(base: tuple[bytes, bytes], ours: tuple[bytes, bytes], theirs: tuple[bytes, bytes]) -> Renumbering:
    """Return the numbers that accounts of theirs get, given each side's passwd and group: those that ours gave to
    others become the next free ones, and accounts of one name get those of ours. Raises BadDatabase."""
    files = (FILES[b"etc/passwd"], FILES[b"etc/group"])
    tables = [[read_rows(file, text) for file, text in zip(files, side, strict=True)] for side in (base, ours, theirs)]
    taken = {_number(row[2]) for side in tables for table in side for row in table.values()}
    moved: list[dict[int, int]] = [{}, {}]
    # A user's own group has the user's number, and keeps it.
    for kind in (0, 1):
        before, our, their = (side[kind] for side in tables)
        holders = {_number(row[2]): name for name, row in our.items()}
        for name, row in their.items():
            if before.get(name) == row:
                continue
            number = _number(row[2])
            same = our.get(name)
            if same is not None:
                if _number(same[2]) != number:
                    moved[kind][number] = _number(same[2])
            elif holders.get(number, name) != name:
                twin = moved[0].get(number) if kind == 1 and name in tables[2][0] else None
                if twin is not None and twin not in {_number(row[2]) for row in our.values()}:
                    moved[kind][number] = twin
                else:
                    moved[kind][number] = _free(number, taken)
                    taken.add(moved[kind][number])
    return Renumbering(tuple(sorted(moved[0].items())), tuple(sorted(moved[1].items())))


def _number(text: bytes) -> int:
    number = account_number(text.decode("ascii", "replace"))
    if number is None:
        raise BadDatabase
    return number


def _free(number: int, taken: Iterable[int]) -> int:
    first = FIRST_USER if number >= FIRST_USER else FIRST_SYSTEM
    for free in range(first, LAST[first] + 1):
        if free not in taken:
            return free
    raise BadDatabase


def renumbered(path: bytes, content: bytes, numbers: Renumbering) -> bytes:
    """Return a passwd or group of theirs with the new numbers. Raises BadDatabase."""
    file = FILES[path]
    users, groups = dict(numbers.users), dict(numbers.groups)
    rows = []
    for row in read_rows(file, content).values():
        parts = list(row)
        of_file = users if file.what == _USER else groups
        parts[2] = b"%d" % of_file.get(_number(parts[2]), _number(parts[2]))
        if file.what == _USER:
            parts[3] = b"%d" % groups.get(_number(parts[3]), _number(parts[3]))
        rows.append(b":".join(parts) + b"\n")
    return b"".join(rows)


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def renumbered_ranges(base: bytes, ours: bytes, theirs: bytes) -> bytes:
    """Return subordinate ids of theirs, of which the ranges that it added lie behind all others where they overlap
    those that ours added. Raises BadDatabase."""
    before, left, right = (_ranges(content) for content in (base, ours, theirs))
    end = max((start + length for _, start, length in (*before, *left, *right)), default=0)
    rows = []
    for row in right:
        name, start, length = row
        overlaps = any(
            start < other[1] + other[2] and other[1] < start + length for other in left if other not in before
        )
        if row not in before and row not in left and overlaps:
            if end + length > MAX_ID:
                raise BadDatabase
            row = name, end, length
            end += length
        rows.append(row)
    return b"".join(b"%s:%d:%d\n" % row for row in rows)
