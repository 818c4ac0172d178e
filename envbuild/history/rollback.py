"""The rollback of a name to an earlier image, which is itself an entry of its history."""

from __future__ import annotations

from envbuild.errors import UsageError, fields
from envbuild.images.find import ImageGone, past_image, resolve
from envbuild.images.reference import digits_of, parse_tag, split_name
from envbuild.record import Record
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.store.tags import ROLLBACK, HistoryEntry, NoSuchTag
from envbuild.text.dates import BadMoment, is_count
from envbuild.tree.entry import Digest


class RolledBack(Record):
    """A tag that moved: its name, the old image and the new one."""

    full: str
    old: Digest | None
    new: Image


@fields
class NothingEarlier(UsageError):
    """A name without an earlier image to go back to."""

    full: str

    def text(self) -> tuple[str, str]:
        return (
            f"{self.full} has no earlier image that is still in the store",
            f"see its history: envbuild log {self.full}",
        )


@fields
class NoSuchTarget(UsageError):
    """A value of `--to` that names nothing known."""

    name: str
    to: str

    def text(self) -> tuple[str, str]:
        return (
            f"--to '{self.to}' is not a number, a tag of {self.name}, a digest or a date",
            f"see its history: envbuild log {self.name}; dates are as in: yesterday, '3 days ago', '2026-11-20 14:00'",
        )


def roll_back(store: Store, reference: str, to: str | None, user: str) -> RolledBack:
    """Move NAME or NAME:TAG back, by default to the image before the current one: twice goes back two steps.

    `to` is N as in `NAME@{N}`, another tag of the name, a digest or its beginning, or a date. Raises NoSuchTag,
    NothingEarlier, TagRefuses, and what finding an image raises.
    """
    name, tag = split_name(reference)
    full = f"{name}:{tag}"
    if store.tags.length(name, tag) == 0:
        raise NoSuchTag(full, [":".join(pair) for pair in store.tags.with_history()])
    current = store.tags.image_of(name, tag)
    entry: HistoryEntry | None
    if to is None:
        entry = _before(store, name, tag, current)
        image = store.images.get(entry.image or "")
        if image is None:
            raise ImageGone(full, entry.image or "")
    else:
        image = _image_named(store, name, tag, to)
        entry = next((move for move in store.tags.history(name, tag) if move.image == image.digest), None)
    if image.digest != current:
        known = {"user": user, **({"entry": entry.number} if entry is not None else {}), "to": to or ""}
        store.tags.move([(name, tag)], image.digest, ROLLBACK, known)
    return RolledBack(full, current, image)


def _before(store: Store, name: str, tag: str, current: Digest | None) -> HistoryEntry:
    """Return the entry before the current one; after a rollback, the current one is the entry that it went back to."""
    at: int | None = None
    for entry in store.tags.history(name, tag):
        if at is None:
            at = int(entry.known.get("entry", entry.number)) if entry.action == ROLLBACK else entry.number
        earlier = entry.number < at and entry.action != ROLLBACK and entry.image not in (None, current)
        if earlier and store.images.get(entry.image or "") is not None:
            return entry
    raise NothingEarlier(f"{name}:{tag}")


def _image_named(store: Store, name: str, tag: str, to: str) -> Image:
    which = to[2:-1] if to.startswith("@{") and to.endswith("}") else to
    if is_count(which) and int(which) < store.tags.length(name, tag):
        return past_image(store, name, tag, which)
    tagged = store.tags.image_of(name, which) if not which.startswith("sha256:") else None
    if tagged is not None:
        image = store.images.get(tagged)
        if image is not None:
            return image
    parsed = parse_tag(which)
    if digits_of(which) is not None or (parsed is not None and store.tags.get(parsed.name, parsed.tag) is not None):
        return resolve(store, which)
    try:
        return past_image(store, name, tag, which)
    except BadMoment as error:
        raise NoSuchTarget(name, to) from error
