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
        # What conflicts by itself has no number yet.
        undecided = set(keys) if clashes else set()
        clashes += _same_numbers(file, tables, {name: row for name, row in merged.items() if name not in undecided})
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
    before = tables[0]
    aliases = _aliases(file.number, *tables)
    ours, theirs = (_given(file.number, before, side) for side in tables[1:])
    clashes = []
    for number in sorted(ours.keys() & theirs.keys()):
        names = [[name for name in side[number] if name in merged] for side in (ours, theirs)]
        if number in aliases or set(ours[number]) & set(theirs[number]) or not (names[0] and names[1]):
            continue
        if any(merged[side[0]][file.number] != number for side in names):
            continue
        was = next((name for name, row in before.items() if row[file.number] == number), b"")
        id_name = "uid" if file.what == _USER else "gid"
        sides = Sides(_text(was) or ABSENT, *(_text(min(side)) for side in names))
        clashes.append(Clash(f"{id_name} {_text(number)}", sides, kind=ID))
    return clashes


def _given(field: int, before: Mapping[bytes, Row], side: Mapping[bytes, Row]) -> dict[bytes, list[bytes]]:
    """Return the names that a side gave each number."""
    given: dict[bytes, list[bytes]] = {}
    for name, row in side.items():
        if name not in before or before[name][field] != row[field]:
            given.setdefault(row[field], []).append(name)
    return given


def _aliases(
    field: int, before: Mapping[bytes, Row], ours: Mapping[bytes, Row], theirs: Mapping[bytes, Row]
) -> set[bytes]:
    """Return the numbers of accounts that the base has and a side still has: whoever shares such a number means to, as
    one more name of root does."""
    return {
        row[field]
        for name, row in before.items()
        if any(name in side and side[name][field] == row[field] for side in (ours, theirs))
    }


def merge_ranges(base: bytes, ours: bytes, theirs: bytes, prefer: Prefer) -> Outcome:
    """Return the merge of a file of subordinate ids: lines stand each for itself; ranges that overlap where each side
    added one are a clash. Raises BadDatabase."""
    tables = [_ranges(content) for content in (base, ours, theirs)]
    before, left, right = tables
    kept = [row for row in left if row in right or row not in before]
    added = [row for row in left if row not in before]
    clashes = []
    for row in right:
        if row in before or row in kept:
            continue
        for other in added:
            if row[1] < other[1] + other[2] and other[1] < row[1] + row[2]:
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
    taken = [{_number(row[2]) for side in tables for row in side[kind].values()} for kind in (0, 1)]
    moved: list[dict[int, int]] = [{}, {}]
    # A user's own group has the user's number, and keeps it.
    for kind in (0, 1):
        before, our, their = (side[kind] for side in tables)
        aliases = {_number(number) for number in _aliases(2, before, our, their)}
        holders: dict[int, set[bytes]] = {}
        for name, row in our.items():
            holders.setdefault(_number(row[2]), set()).add(name)
        for name, row in their.items():
            number = _number(row[2])
            if number in aliases or number in moved[kind] or name in holders.get(number, ()):
                continue
            same = our.get(name)
            if same is not None:
                if _number(same[2]) != number:
                    moved[kind][number] = _number(same[2])
            elif number in holders and not any(
                other in their and their[other][2] == row[2] for other in holders[number]
            ):
                twin = moved[0].get(number) if kind == 1 and name in tables[2][0] and number >= FIRST_USER else None
                free = twin if twin is not None and twin not in taken[kind] else _free(number, taken[kind])
                moved[kind][number] = free
                taken[kind].add(free)
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


def renumbered_owner(owner: str, numbers: Renumbering) -> str:
    """Return `NAME`, `NAME:GROUP` or numbers with the new ones."""
    user, colon, group = owner.partition(":")
    users, groups = dict(numbers.users), dict(numbers.groups)
    old, old_group = account_number(user), account_number(group)
    new = user if old is None else str(users.get(old, old))
    return new + colon + (group if old_group is None else str(groups.get(old_group, old_group)))


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
