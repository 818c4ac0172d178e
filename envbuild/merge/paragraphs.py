"""The merge of databases in Debian's paragraphs (deb822(5)): dpkg's status, apt's marks, debconf's answers."""

from __future__ import annotations

from envbuild.debian.deb822 import field_texts
from envbuild.merge.choices import THEIRS
from envbuild.merge.conflict import ABSENT, PACKAGE, RECORD, Clash, Sides
from envbuild.merge.records import BadDatabase, Outcome, merge_records
from envbuild.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from envbuild.merge.records import Prefer

    Fields = dict[str, str]
    Key = tuple[str, ...]

MAX_DATABASE = 64 << 20
"""Bytes of a database: dpkg's status of a system with 3,000 packages has four millions."""
MAX_PARAGRAPHS = 500_000


class Form(NamedTuple):
    """A database in paragraphs: the fields that make a key, those that are lists whose items stand each for itself
    (and what separates them), and whether its paragraphs are the records of packages with versions."""

    keys: tuple[str, ...]
    lists: Mapping[str, str] = {}
    packages: bool = False


STATUS = Form(("package", "architecture"), {"conffiles": "\n"}, packages=True)
MARKS = Form(("package", "architecture"))
DEBCONF = Form(("name",), {"owners": ", ", "flags": ", "})


def merge_paragraphs(form: Form, base: bytes, ours: bytes, theirs: bytes, prefer: Prefer) -> Outcome:
    """Return the merge of three such databases. Raises BadDatabase."""
    texts = [content.decode("utf-8", "surrogateescape") for content in (base, ours, theirs)]
    lists = [[part for part in text.split("\n\n") if part.strip("\n")] for text in texts]
    if any(len(parts) > MAX_PARAGRAPHS for parts in lists):
        raise BadDatabase
    # Few of some hundred paragraphs differ, and only these are read.
    shared = set(lists[0]) & set(lists[1]) & set(lists[2])
    tables = [_table(form, parts, shared) for parts in lists]
    chosen: list[str] = []

    def join(was: str | None, left: str, right: str) -> str | None:
        return _joined(form, was, left, right)

    merged, keys = merge_records(tables[0], tables[1], tables[2], join)
    if form.packages:
        keys = _of_decided(tables, merged, keys, prefer)
    clashes = []
    for key in sorted(keys):
        sides = [table.get(key) for table in tables]
        subject = " ".join(filter(None, key))
        side = prefer(subject, key[0] if form.packages else "")
        if side:
            chosen.append(key[0] if form.packages else subject)
            text = sides[2] if side == THEIRS else sides[1]
            if text is None:
                merged.pop(key, None)
            else:
                merged[key] = text
            continue
        shown = Sides(*(_shown(form, side_text) for side_text in sides))
        package = key[0] if form.packages else ""
        clashes.append(Clash(subject, shown, kind=PACKAGE if form.packages else RECORD, package=package))
    ordered = list(merged)
    if all(list(table) == sorted(table) for table in tables):
        ordered.sort()  # as dpkg writes its own
    content = "".join(f"{merged[key].strip(chr(10))}\n\n" for key in ordered)
    # debconf and apt end with the last paragraph's blank line, as dpkg does; who does not is heard.
    if not texts[1].endswith("\n\n"):
        content = content.removesuffix("\n")
    return Outcome(content.encode("utf-8", "surrogateescape"), tuple(clashes), tuple(chosen))


def _of_decided(tables: list[dict[Key, str]], merged: dict[Key, str], clashes: list[Key], prefer: Prefer) -> list[Key]:
    """Give packages that are decided as a whole their side's paragraphs, also where only one side changed them; return
    the clashes that are left."""
    decided = set()
    for key in tables[0].keys() | tables[1].keys() | tables[2].keys():
        before, ours, theirs = (table.get(key) for table in tables)
        side = prefer("", key[0]) if not before == ours == theirs else ""
        if side:
            decided.add(key)
            text = theirs if side == THEIRS else ours
            if text is None:
                merged.pop(key, None)
            else:
                merged[key] = text
    return [key for key in clashes if key not in decided]


def _table(form: Form, parts: list[str], shared: set[str]) -> dict[Key, str]:
    table: dict[Key, str] = {}
    for part in parts:
        key = _quick_key(form, part) if part in shared else None
        if key is None:
            key = _key(form, dict(field_texts(part.strip("\n"))))
        if key in table:
            raise BadDatabase
        table[key] = part
    return table


def _quick_key(form: Form, part: str) -> Key | None:
    """Return the key of a paragraph by looking for its fields, None where that is not as plain as usual."""
    values = []
    lines = f"\n{part}"
    for name in form.keys:
        mark = f"\n{name.capitalize()}: "
        at = lines.find(mark)
        if at < 0:
            return None
        values.append(lines[at + len(mark) :].partition("\n")[0].strip())
    return tuple(values)


def _key(form: Form, fields: Fields) -> Key:
    values = tuple(fields.get(name, "").partition(":")[2].strip() for name in form.keys)
    if not values[0]:
        raise BadDatabase
    return values


def _joined(form: Form, was: str | None, left: str, right: str) -> str | None:
    """Return the paragraph with what both changed, field by field, None if a field conflicts."""
    before, ours, theirs = (dict(field_texts(text.strip("\n"))) if text else {} for text in (was, left, right))
    if form.packages and _value(ours, "version") != _value(theirs, "version"):
        return None

    def join(field: str | None, our: str, their: str) -> str | None:
        name = our.partition(":")[0].lower()
        if name not in form.lists:
            return None
        return _joined_list(form.lists[name], field, our, their)

    merged, clashes = merge_records(before, ours, theirs, join)
    return None if clashes else "\n".join(merged.values())


def _joined_list(separator: str, was: str | None, ours: str, theirs: str) -> str:
    spelling = ours.partition(":")[0]
    before, left, right = (_items(separator, text) for text in (was or "", ours, theirs))
    kept = {item: None for item in left if item in right or item not in before}
    kept |= {item: None for item in right if item not in before}
    if separator == "\n":
        return "\n".join([f"{spelling}:", *kept])
    return f"{spelling}: {separator.join(sorted(kept))}"


def _items(separator: str, text: str) -> list[str]:
    value = text.partition(":")[2]
    return [item if separator == "\n" else item.strip() for item in value.split(separator) if item.strip()]


def _value(fields: Fields, name: str) -> str:
    return fields.get(name, "").partition(":")[2].strip()


def _shown(form: Form, text: str | None) -> str:
    if text is None:
        return ABSENT
    fields = dict(field_texts(text.strip("\n")))
    if form.packages:
        return _value(fields, "version") or _value(fields, "status")
    return " ".join(part.strip() for part in list(fields.values())[len(form.keys) :])[:200]
