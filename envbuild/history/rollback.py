"""The rollback of a name to an earlier image, which is itself an entry of its history."""

from __future__ import annotations

from envbuild.errors import UsageError, fields
from envbuild.history.log import tag_with_history
from envbuild.images.find import ImageGone, past_image, resolve
from envbuild.images.names import Name, locate, with_latest
from envbuild.images.reference import TagReference, digits_of, parse_tag
from envbuild.record import Record
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.store.tags import ROLLBACK, HistoryEntry
from envbuild.text.dates import BadMoment, is_count
from envbuild.tree.entry import Digest


class RolledBack(Record):
    """A tag that moved: its name as the store keeps it, the old image and the new one."""

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


def roll_back(store: Store, reference: str, to: str | None, user: str, folder: str = ".") -> RolledBack:
    """Move NAME or NAME:TAG, as `folder` has the name, back, by default to the image before the current one: twice goes
    back two steps. The tag of a branch takes `latest` along, as in a build.

    `to` is N as in `NAME@{N}`, another tag of the name, a digest or its beginning, or a date. Raises NoSuchTag,
    NothingEarlier, TagRefuses, and what finding an image raises.
    """
    tag = tag_with_history(store, reference, folder)
    full = ":".join(tag)
    current = store.tags.image_of(*tag)
    entry: HistoryEntry | None
    if to is None:
        entry = _before(store, tag, current)
        image = store.images.get(entry.image or "")
        if image is None:
            raise ImageGone(store.projects.shown(full), entry.image or "")
    else:
        image = _image_named(store, tag, to, folder)
        entry = next((move for move in store.tags.history(*tag) if move.image == image.digest), None)
    if image.digest != current:
        known = {"user": user, **({"entry": entry.number} if entry is not None else {}), "to": to or ""}
        store.tags.move(with_latest(store, reference, tag), image.digest, ROLLBACK, known)
    return RolledBack(full, current, image)


def _before(store: Store, name: Name, current: Digest | None) -> HistoryEntry:
    """Return the entry before the current one; after a rollback, the current one is the entry that it went back to."""
    at: int | None = None
    for entry in store.tags.history(*name):
        if at is None:
            at = int(entry.known.get("entry", entry.number)) if entry.action == ROLLBACK else entry.number
        earlier = entry.number < at and entry.action != ROLLBACK and entry.image not in (None, current)
        if earlier and store.images.get(entry.image or "") is not None:
            return entry
    raise NothingEarlier(store.projects.shown(":".join(name)))


def _image_named(store: Store, name: Name, to: str, folder: str) -> Image:
    which = to[2:-1] if to.startswith("@{") and to.endswith("}") else to
    if is_count(which) and int(which) < store.tags.length(*name):
        return past_image(store, name, which)
    tagged = store.tags.image_of(name[0], which) if not which.startswith("sha256:") else None
    if tagged is not None:
        image = store.images.get(tagged)
        if image is not None:
            return image
    parsed = parse_tag(which)
    if digits_of(which) is not None or (parsed is not None and _is_tag(store, parsed, folder)):
        return resolve(store, which, folder)
    try:
        return past_image(store, name, which)
    except BadMoment as error:
        raise NoSuchTarget(store.projects.shown(name[0]), to) from error


def _is_tag(store: Store, reference: TagReference, folder: str) -> bool:
    try:
        return store.tags.get(*locate(store, reference, folder)) is not None
    except UsageError:
        return False
