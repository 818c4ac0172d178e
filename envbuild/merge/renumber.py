"""New numbers for accounts of one side: in its databases, and for the owners of the files that it changed."""

from __future__ import annotations

import struct

from envbuild.merge.accounts import (
    FILES,
    MAX_ACCOUNTS,
    RANGES,
    Renumbering,
    renumbered,
    renumbered_ranges,
    renumbering,
)
from envbuild.merge.draft import Draft
from envbuild.merge.records import BadDatabase
from envbuild.record import NamedTuple
from envbuild.store.objects import Objects
from envbuild.tree.apply import Edit, edit
from envbuild.tree.diff import diff, expanded
from envbuild.tree.entry import DIRECTORY, FILE, Digest, Xattrs
from envbuild.tree.lookup import LinkCircle, lookup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_PASSWD, _GROUP = b"etc/passwd", b"etc/group"
_ACLS = (b"system.posix_acl_access", b"system.posix_acl_default")
_ACL_HEADER, _ACL_ENTRY = 4, struct.Struct("<HHI")
_ACL_USER, _ACL_GROUP = 0x02, 0x08


class Renumbered(NamedTuple):
    """A tree in which accounts have other numbers, and which: (kind, name, old, new), sorted."""

    tree: Digest
    moved: tuple[tuple[str, str, int, int], ...] = ()
    numbers: Renumbering = Renumbering()


def renumber(draft: Draft, objects: Objects, base: Digest, ours: Digest, theirs: Digest) -> Renumbered:
    """Return `theirs` with free numbers for the accounts that it added and whose numbers `ours` gave to others, and
    with our numbers for accounts of one name. Files that it did not touch since `base` keep their owners."""

    def content(tree: Digest, path: bytes) -> bytes:
        try:
            entry = lookup(draft, tree, path)
        except LinkCircle:
            return b""
        if entry is None or entry.kind != FILE or entry.size > MAX_ACCOUNTS:
            return b""
        return objects.read(entry)

    sides = [(content(tree, _PASSWD), content(tree, _GROUP)) for tree in (base, ours, theirs)]
    try:
        numbers = renumbering(sides[0], sides[1], sides[2])
        texts = {path: renumbered(path, text, numbers) for path, text in zip(FILES, sides[2], strict=False) if text}
        for path in RANGES:
            ranges = [content(tree, path) for tree in (base, ours, theirs)]
            if ranges[2] and (moved := renumbered_ranges(*ranges)) != ranges[2]:
                texts[path] = moved
    except BadDatabase:
        return Renumbered(theirs)  # such files are merged as others are, and conflict as others do
    users, groups = dict(numbers.users), dict(numbers.groups)
    edits = []
    for change in expanded(draft, diff(draft, base, theirs)):
        after = change.after
        if after is None or change.path in texts:
            continue
        owner = users.get(after.uid, after.uid), groups.get(after.gid, after.gid)
        altered = after._replace(uid=owner[0], gid=owner[1], xattrs=_acls(after.xattrs, users, groups))
        if altered != after:
            if after.kind == DIRECTORY:
                edits.append(Edit(change.path, altered._replace(digest="")))
            else:
                edits.append(Edit(change.path, draft.alter(after, altered), True))
    for path, text in texts.items():
        entry = lookup(draft, theirs, path, follow=False)
        if entry is not None and entry.kind == FILE:
            edits.append(Edit(path, draft.put(entry, text), True))
    accounts = [
        (kind, _name_of(text, old), old, new)
        for kind, text, pairs in (("user", sides[2][0], numbers.users), ("group", sides[2][1], numbers.groups))
        for old, new in pairs
    ]
    return Renumbered(edit(draft, theirs, edits, 0), tuple(accounts), numbers)


def _name_of(content: bytes, number: int) -> str:
    wanted = b"%d" % number
    rows = (line.split(b":") for line in content.split(b"\n"))
    return next((row[0].decode("utf-8", "replace") for row in rows if len(row) > 2 and row[2] == wanted), "")


def _acls(xattrs: Xattrs, users: Mapping[int, int], groups: Mapping[int, int]) -> Xattrs:
    """Return extended attributes with the numbers in access control lists renumbered (linux/posix_acl_xattr.h)."""
    if not any(name in _ACLS for name, _ in xattrs):
        return xattrs
    return tuple((name, _acl(value, users, groups) if name in _ACLS else value) for name, value in xattrs)


def _acl(value: bytes, users: Mapping[int, int], groups: Mapping[int, int]) -> bytes:
    body = value[_ACL_HEADER:]
    if len(body) % _ACL_ENTRY.size:
        return value
    entries = []
    for tag, permissions, number in _ACL_ENTRY.iter_unpack(body):
        of_kind = users if tag == _ACL_USER else groups if tag == _ACL_GROUP else {}
        entries.append(_ACL_ENTRY.pack(tag, permissions, of_kind.get(number, number)))
    return value[:_ACL_HEADER] + b"".join(entries)
