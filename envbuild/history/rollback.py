"""Moves a name back to where it was, which is itself an entry of its history."""

from __future__ import annotations

from envbuild.errors import UsageError
from envbuild.history.build_commits import Commits, build_of
from envbuild.record import Record
from envbuild.store.image_reference import digits_of, parse_reference, split_name
from envbuild.store.images import Image, ImageGone
from envbuild.store.store import Store
from envbuild.store.tags import ROLLBACK, HistoryEntry, NoSuchTag
from envbuild.text.dates import BadMoment, is_count
from envbuild.tree.entry import Digest


class RolledBack(Record):
    """A tag that moved: its name, the image that it named and the one that it names; and, where git knows them, the
    commit that this was built from with the recipe's path in it, else ""."""

    full: str
    old: Digest | None
    new: Digest
    commit: str = ""
    file: str = ""


class NothingEarlier(UsageError):
    """There is nothing to go back to."""

    def __init__(self, full: str) -> None:
        super().__init__(
            f"{full} has named nothing else before that is still in the store", f"see its history: envbuild log {full}"
        )


class NoSuchTarget(UsageError):
    """What to go back to is nothing that is known."""

    def __init__(self, name: str, to: str) -> None:
        super().__init__(
            f"--to '{to}' is neither a number, a tag of {name}, a digest nor a date",
            f"see what there is: envbuild log {name}; dates are as in: yesterday, '3 days ago', '2026-11-20 14:00'",
        )


def roll_back(store: Store, reference: str, to: str | None, user: str) -> RolledBack:
    """Moves NAME or NAME:TAG back, by default to what it was before what it is now: twice goes back two steps.

    `to` is N as in `NAME@{N}`, another tag of the name, a digest or its beginning, or a date. Raises NoSuchTag,
    NothingEarlier, TagRefuses, and what finding an image raises.
    """
    name, tag = split_name(reference)
    full = f"{name}:{tag}"
    if store.tags.length(name, tag) == 0:
        raise NoSuchTag(full, [f"{one}:{other}" for one, other in store.tags.with_history()])
    current = store.tags.image_of(name, tag)
    entry: HistoryEntry | None
    if to is None:
        entry = _before(store, name, tag, current)
        image = store.images.get(entry.image or "")
        if image is None:
            raise ImageGone(full, entry.image or "")
    else:
        image = _meant(store, name, tag, to)
        entry = next((one for one in store.tags.history(name, tag) if one.image == image.digest), None)
    if image.digest != current:
        known = {"user": user, **({"entry": entry.number} if entry is not None else {}), "to": to or ""}
        store.tags.move([(name, tag)], image.digest, ROLLBACK, known)
    built = build_of(store, image.digest)
    if built is None:
        return RolledBack(full, current, image.digest)
    with Commits() as commits:
        commit, committed = commits.of(built)
    return RolledBack(full, current, image.digest, commit if committed else "", built.known["file"])


def _before(store: Store, name: str, tag: str, current: Digest | None) -> HistoryEntry:
    """The entry before the one that the tag stands at, where a rollback stands at the entry that it went back to."""
    at: int | None = None
    for entry in store.tags.history(name, tag):
        if at is None:
            at = int(entry.known.get("entry", entry.number)) if entry.action == ROLLBACK else entry.number
        earlier = entry.number < at and entry.action != ROLLBACK and entry.image not in (None, current)
        if earlier and store.images.get(entry.image or "") is not None:
            return entry
    raise NothingEarlier(f"{name}:{tag}")


def _meant(store: Store, name: str, tag: str, to: str) -> Image:
    which = to[2:-1] if to.startswith("@{") and to.endswith("}") else to
    if is_count(which) and int(which) < store.tags.length(name, tag):
        return store.images.past(name, tag, which)
    other = store.tags.image_of(name, which) if not which.startswith("sha256:") else None
    if other is not None:
        image = store.images.get(other)
        if image is not None:
            return image
    parsed = parse_reference(which)
    if digits_of(which) is not None or (parsed is not None and store.tags.get(parsed.name, parsed.tag) is not None):
        return store.images.resolve(which)
    try:
        return store.images.past(name, tag, which)
    except BadMoment as error:
        raise NoSuchTarget(name, to) from error
