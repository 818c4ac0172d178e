"""Candidates: the good tree with some of the differences put on it.

Each part has a number, and a selection is an integer with the bits of the parts that it has. A directory in which
nothing is selected is the good tree's, and with all that differs in it the bad tree's: so only directories in between
are put together, and each of those once for each selection of what lies in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from envbuild.bisect.differences import FactPart, Part, PathPart, PiecePart, StanzaPart
from envbuild.bisect.pieces import FilePieces
from envbuild.bisect.slots import Contents, PathSlot, PieceSlot, Selected, Slot, StatusSlot
from envbuild.bisect.status_stanzas import StatusChanges
from envbuild.history.package_changes import STATUS
from envbuild.tree.entry import DIRECTORY, ROOT_NAME, Digest, Entry, digest_of, encode
from envbuild.tree.lookup import Trees, lookup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

Selection = int
"""The parts of a candidate, a bit for each."""
VARIABLE = "env."
"""Begins the name of a fact that is a variable."""


class CandidateTrees:
    """The directories of a store, and in memory those that only candidates have."""

    def __init__(self, stored: Trees) -> None:
        self._stored = stored
        self._own: dict[Digest, tuple[Entry, ...]] = {}

    def load(self, digest: Digest) -> tuple[Entry, ...]:
        """Return the entries of a directory. Raises StoreDamaged."""
        own = self.own(digest)
        return self._stored.load(digest) if own is None else own

    def own(self, digest: Digest) -> tuple[Entry, ...] | None:
        """Return the entries of a directory that only candidates have."""
        return self._own.get(digest)

    def save(self, entries: Iterable[Entry]) -> Digest:
        """Take a directory; return its digest."""
        listed = tuple(sorted(entries))
        digest = digest_of(encode(listed))
        self._own.setdefault(digest, listed)
        return digest

    def keep(self, root: Digest) -> None:
        """Have the store keep a tree with all directories in it."""
        pending, order = [root], []
        while pending:
            digest = pending.pop()
            if digest in self._own:
                order.append(digest)
                pending += [entry.digest for entry in self._own[digest] if entry.kind == DIRECTORY and entry.digest]
        for digest in reversed(order):
            self._stored.save(self._own[digest])


class Composer:
    """Puts candidates together."""

    def __init__(
        self,
        trees: CandidateTrees,
        roots: tuple[Digest, Digest],
        facts: dict[str, Any],
        parts: Sequence[Part],
        *,
        status: StatusChanges | None = None,
        contents: Contents,
    ) -> None:
        """`roots` are the good and the bad tree, `facts` those of the good environment; `parts` are all differences
        between the two."""
        self._facts = facts
        self._contents = contents
        self._root = _Node(trees, *roots)
        self._fact_parts = [(number, part) for number, part in enumerate(parts) if isinstance(part, FactPart)]
        stanzas: dict[int, str] = {}
        for number, part in enumerate(parts):
            match part:
                case PathPart(path=path, before=before, after=after):
                    self._root.put(path.split(b"/"), PathSlot(number, before, after))
                case StanzaPart(package=package):
                    stanzas[number] = package
                case FactPart() | PiecePart():
                    pass
        if stanzas:
            assert status is not None
            before, after = (lookup(trees, root, STATUS, follow=False) for root in roots)
            assert before is not None
            assert after is not None
            self._root.put(STATUS.split(b"/"), StatusSlot(stanzas, status, before, after, contents))

    def split(self, path: bytes, parts: Mapping[int, PiecePart], pieces: FilePieces) -> None:
        """Have the file at a path depend on its pieces from now on, each with a number of its own; its part is not
        selected any more."""
        self._root.put(path.split(b"/"), PieceSlot(parts, pieces, self._contents))

    def tree(self, selection: Selection) -> Digest:
        """Return the tree of a candidate."""
        return self._root.digest(selection)

    def facts(self, selection: Selection) -> dict[str, Any]:
        """Return the facts of a candidate, as `show` has them."""
        facts = {**self._facts, "env": dict(self._facts.get("env", {}))}
        for number, part in self._fact_parts:
            if selection >> number & 1:
                is_variable = part.name.startswith(VARIABLE)
                target, key = (facts["env"], part.name.removeprefix(VARIABLE)) if is_variable else (facts, part.name)
                if part.after is None:
                    target.pop(key, None)
                else:
                    target[key] = part.after
        return facts


class _Node:
    """A directory in which something differs; the good or the bad tree may lack it ("")."""

    def __init__(self, trees: CandidateTrees, before: Digest, after: Digest) -> None:
        self._trees = trees
        self._old = {entry.name: entry for entry in trees.load(before)} if before else {}
        self._new = {entry.name: entry for entry in trees.load(after)} if after else {}
        self._known: dict[Selection, Digest] = {}
        self._before = before
        self._after = after
        self._slots: dict[bytes, Slot] = {}
        self._own: dict[bytes, PathSlot] = {}
        self._inner: dict[bytes, _Node] = {}
        self._numbers: list[int] = []
        self._mask: Selection | None = None

    @property
    def mask(self) -> Selection:
        """All parts that change something in this directory."""
        if self._mask is None:
            flags = bytearray((max(self._numbers, default=0) >> 3) + 1)
            for number in self._numbers:
                flags[number >> 3] |= 1 << (number & 7)
            self._mask = int.from_bytes(flags, "little")
        return self._mask

    def put(self, names: Sequence[bytes], slot: Slot) -> None:
        """Have the entry of a path below this directory depend on what is selected. That of a directory in both trees
        means its own attributes, beside what lies in it."""
        node = self
        node._add(slot)
        for name in names[:-1]:
            node = node._at(name)
            node._add(slot)
        name = names[-1]
        sides = [entry for entry in (node._old.get(name), node._new.get(name)) if entry is not None]
        if isinstance(slot, PathSlot) and name != ROOT_NAME and len(sides) == 2 and _are_directories(sides):
            node._own[name] = slot
        else:
            node._slots[name] = slot

    def _add(self, slot: Slot) -> None:
        self._numbers += slot.numbers
        self._mask = None

    def digest(self, selection: Selection) -> Digest:
        """Return the directory with what is selected of it."""
        chosen = selection & self.mask
        if chosen == 0 and self._before:
            return self._before
        if chosen == self.mask and self._after:
            return self._after
        known = self._known.get(chosen)
        if known is None:
            known = self._known[chosen] = self._trees.save(self._entries(chosen).values())
        return known

    def _entries(self, chosen: Selection) -> dict[bytes, Entry]:
        entries = dict(self._old)
        selected = Selected(chosen)
        for name, slot in self._slots.items():
            entry = slot.entry(selected)
            if entry is None:
                entries.pop(name, None)
            else:
                entries[name] = entry
        for name, inner in self._inner.items():
            entry = self._directory(name, inner, chosen, selected)
            if entry is None:
                entries.pop(name, None)
            else:
                entries[name] = entry
        for name, own in self._own.items():
            entry = own.entry(selected)
            if name not in self._inner and entry is not None:
                entries[name] = entry._replace(digest=entries[name].digest)
        return entries

    def _directory(self, name: bytes, inner: _Node, chosen: Selection, selected: Selected) -> Entry | None:
        """Return a directory with what is selected of it. One that a side lacks is there as long as it is not empty. A
        time of its own follows from what was done in it, and is that of the side that it is like."""
        old, new = self._old.get(name), self._new.get(name)
        part = inner.mask & chosen
        if part == 0:
            entry = old
        elif part == inner.mask:
            entry = new
        elif old is None or new is None:
            entry = old or new
            assert entry is not None
            digest = inner.digest(chosen)
            return entry._replace(digest=digest) if self._trees.load(digest) else None
        else:
            entry = old
        if entry is not None and old is not None and new is not None and name in self._own:
            attributes = self._own[name].entry(selected)
            assert attributes is not None
            entry = attributes
        return None if entry is None else entry._replace(digest=inner.digest(chosen))

    def _at(self, name: bytes) -> _Node:
        if name not in self._inner:
            sides = [self._old.get(name), self._new.get(name)]
            digests = [side.digest if side is not None and side.kind == DIRECTORY else "" for side in sides]
            self._inner[name] = _Node(self._trees, *digests)
        return self._inner[name]


def _are_directories(entries: Iterable[Entry]) -> bool:
    return all(entry.kind == DIRECTORY for entry in entries)
