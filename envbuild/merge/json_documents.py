"""The merge of JSON documents by their keys: npm's locks and manifests, and settings."""

from __future__ import annotations

import json
import re

from envbuild.merge.choices import THEIRS
from envbuild.merge.conflict import ABSENT, PACKAGE, RECORD, Clash, Sides
from envbuild.merge.records import BadDatabase, Outcome, in_order

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from envbuild.merge.records import Prefer

MAX_DOCUMENT = 8 << 20
"""Bytes of a document; as Python's objects it takes twenty times as much."""
MAX_DEPTH = 100
_ABSENT = object()
_SHOWN = 120
_MODULES = "node_modules/"


class _Merge:
    def __init__(self, prefer: Prefer) -> None:
        self.prefer = prefer
        self.clashes: list[Clash] = []
        self.settled: list[str] = []

    def value(self, path: tuple[str, ...], base: Any, ours: Any, theirs: Any) -> Any:
        """Return the merged value, `_ABSENT` for none."""
        if _same(ours, theirs) or _same(theirs, base):
            return ours
        if _same(ours, base):
            return theirs
        package = _package(path)
        versions = [_version(side) for side in (base, ours, theirs)]
        apart = package and versions[1] != versions[2]
        if isinstance(ours, dict) and isinstance(theirs, dict) and not apart:
            before = base if isinstance(base, dict) else {}
            merged = {}
            names = in_order(before, ours, theirs)
            if all(list(side) == sorted(side) for side in (ours, theirs)):
                names.sort()
            for name in names:
                sides = [side.get(name, _ABSENT) for side in (before, ours, theirs)]
                value = self.value((*path, name), *sides)
                if value is not _ABSENT:
                    merged[name] = value
            return merged
        shown = Sides(*versions) if apart else Sides(_shown(base), _shown(ours), _shown(theirs))
        return self.clash(path, package, shown, ours, theirs)

    def clash(self, path: tuple[str, ...], package: str, shown: Sides, ours: Any, theirs: Any) -> Any:
        subject = ".".join(path)
        side = self.prefer(subject, package)
        if side:
            self.settled.append(package or subject)
            return theirs if side == THEIRS else ours
        self.clashes.append(Clash(subject, shown, kind=PACKAGE if package else RECORD, package=package))
        return theirs if ours is _ABSENT else ours


def merge_json(base: bytes, ours: bytes, theirs: bytes, prefer: Prefer) -> Outcome:
    """Return the merge of three documents, in our side's layout. Raises BadDatabase for what is not JSON."""
    documents = [_read(content) for content in (base or b"{}", ours, theirs)]
    if not all(isinstance(document, dict) for document in documents):
        raise BadDatabase
    merge = _Merge(prefer)
    try:
        merged = merge.value((), *documents)
        text = _written(merged, ours.decode())
    except UnicodeDecodeError as error:
        raise BadDatabase from error
    return Outcome(text.encode("utf-8", "surrogatepass"), tuple(merge.clashes), tuple(merge.settled))


def _read(content: bytes) -> Any:
    try:
        document = json.loads(content, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise BadDatabase from error
    # Python's own limit is no bound: the command line raises it.
    if _is_deep(document):
        raise BadDatabase
    return document


def _is_deep(document: Any) -> bool:
    """Return whether lists or maps lie in more than MAX_DEPTH others."""
    level = [document]
    for _ in range(MAX_DEPTH):
        maps = (item.values() if isinstance(item, dict) else item for item in level if isinstance(item, dict | list))
        level = [inner for items in maps for inner in items]
        if not level:
            return False
    return True


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise BadDatabase
    return document


def _same(left: Any, right: Any) -> bool:
    """Return whether two values are the same, and of the same type: True is no 1."""
    if left is right:
        return True
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(_same(value, right[name]) for name, value in left.items())
    if isinstance(left, list):
        return len(left) == len(right) and all(map(_same, left, right))
    return bool(left == right)


def _package(path: tuple[str, ...]) -> str:
    """Return the package that a part of npm's lock is about: `packages` has them by their folders."""
    if len(path) == 2 and path[0] == "packages" and _MODULES in path[1]:
        return path[1].rpartition(_MODULES)[2]
    return ""


def _version(value: Any) -> str:
    return ABSENT if value is _ABSENT else str(value.get("version", "")) if isinstance(value, dict) else ""


def _shown(value: Any) -> str:
    if value is _ABSENT:
        return ABSENT
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _written(document: Any, like: str) -> str:
    """Return the text of a document with the indentation and the end of another one."""
    indent = re.match(r"\s*\{\r?\n([ \t]+)\"", like)
    width = indent[1] if indent else None
    separators = (",", ": ") if width else (", ", ": ") if '": ' in like else (",", ":")
    text = json.dumps(document, indent=width, separators=separators, ensure_ascii=False)
    return text + ("\n" if like.endswith("\n") else "")
