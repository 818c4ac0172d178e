"""The reasons for a path of an image: the statement that made it, its author, the package that owns it, and since
when."""

from __future__ import annotations

from collections.abc import Iterator

from envbuild.history.authorship import Credit, Made, credit, remover
from envbuild.images.ancestry import image_below
from envbuild.images.names import locate
from envbuild.images.reference import parse_tag
from envbuild.packages.inventory.owner import Owner, owner_of
from envbuild.record import Record
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.store.tags import HistoryEntry
from envbuild.tree.diff import own
from envbuild.tree.entry import DIRECTORY, Digest, Entry
from envbuild.tree.lookup import lookup, resolve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from envbuild.git.repository import Author


class Maker(Record):
    """A base (`text` begins with `from`, without a place) or a statement (with its place `file:line`) that made `tree`
    on the way to an image. `image` is the digest of the image whose build it belongs to, `kind` is what the statement
    does, and `takes` are the paths that it takes of its folder."""

    image: Digest
    stage: str
    text: str
    file: str
    line: int
    tree: Digest
    kind: str = ""
    takes: tuple[str, ...] = ()


class Touch(Record):
    """A maker that changed the path: `verb` is made, changed or removed."""

    verb: str
    maker: Maker


class Removal(Record):
    """The move of a name since which a path is gone, though no statement removes it: `entry`, which is `back` moves
    back. `touches` are those of the image before, and `author` is that of the commit that took the statement or its
    file away, None if git does not know."""

    entry: HistoryEntry
    back: int
    touches: tuple[Touch, ...]
    author: Author | None


class Blame(Record):
    """The reasons for one path, or for there being nothing (`entry` is None). `touches` are in the order of the build,
    the last one made it what it is (empty if the store no longer has the trees in between, or with `removal`). `credit`
    is the newest change of the last statement's lines, files and parameters, None if git knows nothing. `since` is the
    oldest entry of the history since which it has not changed."""

    entry: Entry | None
    touches: tuple[Touch, ...]
    owner: Owner | None
    credit: Credit | None
    since: HistoryEntry | None
    back: int
    removal: Removal | None = None


def blame(store: Store, image: Image, reference: str, path: bytes, entry: Entry) -> Blame:
    """Return the reasons for `entry` at the resolved `path` of the image. `reference` is the image as the user wrote
    it: if it is a name, `since` comes from the history of this name."""
    touches = tuple(_touches(store, image, path))
    since, back = _since(store, image, reference, path, entry)
    owner = owner_of(store, image.tree, path.decode("utf-8", "surrogateescape"))
    return Blame(entry, touches, owner, _credit(store, touches, path, entry), since, back)


def blame_missing(store: Store, image: Image, reference: str, path: bytes) -> tuple[bytes, Blame] | None:
    """Return the true path of what is missing in the image, and the reasons: the statement that removed it on the way
    to the image, or the move of the name since which it is gone. None if it never was there."""
    for maker in reversed(makers(store, image)):
        resolved = resolve(store.trees, maker.tree, path, follow=False) if store.trees.has(maker.tree) else None
        if resolved is not None:
            real, before = resolved
            touches = tuple(_touches(store, image, real))
            since, back = _since(store, image, reference, real, None)
            return real, Blame(None, touches, None, _credit(store, touches, real, before), since, back)
    later: tuple[HistoryEntry, int] | None = None
    for back, move in moves_from(store, image, reference):
        earlier = store.images.get(move.image) if move.image is not None else None
        resolved = resolve(store.trees, earlier.tree, path, follow=False) if earlier is not None else None
        if resolved is not None and earlier is not None and later is not None:
            touches = tuple(_touches(store, earlier, resolved[0]))
            author = remover(store, image.digest, _made(touches[-1], *resolved)) if touches else None
            removal = Removal(*later, touches, author)
            return resolved[0], Blame(None, (), None, None, later[0], later[1], removal)
        if earlier is not None:
            later = move, back
    return None


def _credit(store: Store, touches: tuple[Touch, ...], path: bytes, entry: Entry) -> Credit | None:
    return credit(store, _made(touches[-1], path, entry)) if touches and touches[-1].maker.file else None


def _made(touch: Touch, path: bytes, entry: Entry) -> Made:
    maker = touch.maker
    at = None if touch.verb == "removed" else entry
    return Made(maker.image, maker.text, maker.file, maker.line, maker.kind, maker.takes, path, at)


def makers(store: Store, image: Image) -> list[Maker]:
    """Return what made the image, the base first, following the stages, recipes and images that it is built on."""
    stages = image.known.get("stages", [])
    return _makers(store, image, stages, stages[-1]["stage"]) if stages else []


def _makers(store: Store, image: Image, stages: list[dict[str, Any]], name: str) -> list[Maker]:
    stage = next(stage for stage in stages if stage["stage"] == name)
    kind, _, argument = stage["origin"].partition(" ")
    below: list[Maker] = []
    if kind == "stage":
        below = _makers(store, image, stages, argument)
    else:
        base = image_below(store, stage)
        if base is not None and base.digest != image.digest:
            below = makers(store, base)
    if not below:
        below = [Maker(image.digest, name, f"from {stage['base']}", "", 0, stage["tree"])]
    steps = [step for step in stage["steps"] if step["kind"] != "test"]
    return [*below, *(_maker(image.digest, name, step) for step in steps)]


def _maker(image: Digest, stage: str, step: dict[str, Any]) -> Maker:
    takes = tuple(step.get("takes", ()))
    return Maker(image, stage, step["text"], step["file"], step["line"], step["tree"], step["kind"], takes)


def _touches(store: Store, image: Image, path: bytes) -> Iterator[Touch]:
    before: Entry | None = None
    for maker in makers(store, image):
        if not store.trees.has(maker.tree):
            continue
        now = _entry_at(store, maker.tree, path)
        if now != before:
            yield Touch("made" if before is None else "removed" if now is None else "changed", maker)
        before = now


def _entry_at(store: Store, tree: Digest, path: bytes) -> Entry | None:
    """Return the tree's entry at the path; of a directory only its own attributes."""
    entry = lookup(store.trees, tree, path, follow=False)
    return own(entry) if entry is not None and entry.kind == DIRECTORY else entry


def _since(
    store: Store, image: Image, reference: str, path: bytes, entry: Entry | None
) -> tuple[HistoryEntry | None, int]:
    """Return the oldest entry of the name's history since which the path has not changed, and how far back it is."""
    wanted = own(entry) if entry is not None and entry.kind == DIRECTORY else entry
    since: HistoryEntry | None = None
    at = 0
    same: dict[Digest, bool] = {}
    for back, move in moves_from(store, image, reference):
        if move.image is None:
            break
        if move.image not in same:
            earlier = store.images.get(move.image)
            same[move.image] = earlier is not None and _entry_at(store, earlier.tree, path) == wanted
        if not same[move.image]:
            break
        since, at = move, back
    return since, at


def moves_from(store: Store, image: Image, reference: str) -> Iterator[tuple[int, HistoryEntry]]:
    """Yield the moves of the name in the reference, or of a tag of the image, from the one to this image back."""
    parsed = parse_tag(reference)
    name = locate(store, parsed, ".") if parsed is not None else None
    if name is None or store.tags.length(*name) == 0:
        tag = next(iter(store.tags.all(image.digest)), None)
        if tag is None:
            return
        name = (tag.name, tag.tag)
    begun = False
    for back, move in enumerate(store.tags.history(*name)):
        begun = begun or move.image == image.digest
        if begun:
            yield back, move.replace(name=store.projects.shown(move.name))
