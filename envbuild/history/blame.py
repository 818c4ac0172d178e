"""The reasons for a path of an image: the statement that made it, its author, the package that owns it, and since
when."""

from __future__ import annotations

import os
from collections.abc import Iterator

from envbuild.errors import EnvbuildError
from envbuild.history.build_commits import BuildCommits, build_of
from envbuild.images.reference import parse_tag
from envbuild.packages.inventory.owner import Owner, owner_of
from envbuild.record import Record
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.store.tags import HistoryEntry
from envbuild.tree.diff import own
from envbuild.tree.entry import DIRECTORY, Digest, Entry
from envbuild.tree.lookup import lookup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from envbuild.git.repository import Author


class Maker(Record):
    """A base (`text` begins with `from`, without a place) or a statement (with its place `file:line`) that made `tree`
    on the way to an image. `image` is the digest of the image whose build it belongs to."""

    image: Digest
    stage: str
    text: str
    file: str
    line: int
    tree: Digest


class Touch(Record):
    """A maker that changed the path: `verb` is made, changed or removed."""

    verb: str
    maker: Maker


class Blame(Record):
    """The reasons for one path. `touches` are in the order of the build, the last one made it what it is (empty if the
    store no longer has the trees in between). `author` is None if git does not know the line, and `uncommitted` then
    says whether it was in no commit. `since` is the oldest entry of the history since which it has not changed."""

    entry: Entry
    touches: tuple[Touch, ...]
    owner: Owner | None
    author: Author | None
    uncommitted: bool
    since: HistoryEntry | None
    back: int


def blame(store: Store, image: Image, reference: str, path: bytes, entry: Entry) -> Blame:
    """Return the reasons for `entry` at the resolved `path` of the image. `reference` is the image as the user wrote
    it: if it is a name, `since` comes from the history of this name."""
    touches = tuple(_touches(store, image, path))
    author, uncommitted = None, False
    if touches and touches[-1].maker.file:
        author, uncommitted = _author(store, touches[-1].maker)
    since, back = _since(store, image, reference, path, entry)
    owner = owner_of(store, image.tree, path.decode("utf-8", "surrogateescape"))
    return Blame(entry, touches, owner, author, uncommitted, since, back)


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
        base = None
        if kind == "image":
            base = store.images.get(argument.removeprefix("sha256:"))
        elif kind == "recipe":
            base = store.images.of_tree(stage["tree"])
        if base is not None and base.digest != image.digest:
            below = makers(store, base)
    if not below:
        below = [Maker(image.digest, name, f"from {stage['base']}", "", 0, stage["tree"])]
    steps = [step for step in stage["steps"] if step["kind"] != "test"]
    return [
        *below,
        *(Maker(image.digest, name, step["text"], step["file"], step["line"], step["tree"]) for step in steps),
    ]


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


def _author(store: Store, maker: Maker) -> tuple[Author | None, bool]:
    """Return the author of the statement, from the commit of the build that made the image; and whether it was
    uncommitted."""
    built = build_of(store, maker.image)
    if built is None:
        return None, False
    known = built.known
    # The statement may be in a file that the recipe includes.
    inner = os.path.relpath(maker.file, os.path.dirname(known.get("recipe", "")) or ".")
    path = os.path.normpath(os.path.join(os.path.dirname(known.get("file", "")), inner))
    first = maker.text.strip().partition("\n")[0].strip()
    with BuildCommits() as commits:
        commit, committed = commits.of(built)
        repository = commits.repository(known.get("root", ""))
        if repository is None or not commit:
            return None, repository is not None
        try:
            lines = repository.read(commit, path).decode("utf-8", "replace").splitlines()
            here = lines[maker.line - 1].strip().rstrip("\\").strip() if maker.line <= len(lines) else ""
            if not here or not first.startswith(here):
                return None, not committed
            return repository.blame(commit, path, maker.line), False
        except (EnvbuildError, OSError):
            return None, not committed


def _since(store: Store, image: Image, reference: str, path: bytes, entry: Entry) -> tuple[HistoryEntry | None, int]:
    """Return the oldest entry of the name's history since which the path has not changed, and how far back it is."""
    parsed = parse_tag(reference)
    if parsed is None or store.tags.length(parsed.name, parsed.tag) == 0:
        tag = next(iter(store.tags.all(image.digest)), None)
        if tag is None:
            return None, 0
        name = (tag.name, tag.tag)
    else:
        name = (parsed.name, parsed.tag)
    wanted = own(entry) if entry.kind == DIRECTORY else entry
    since: HistoryEntry | None = None
    at = 0
    begun = False
    same: dict[Digest, bool] = {}
    for back, move in enumerate(store.tags.history(*name)):
        if not begun and move.image != image.digest:
            continue
        begun = True
        if move.image is None:
            break
        if move.image not in same:
            earlier = store.images.get(move.image)
            same[move.image] = earlier is not None and _entry_at(store, earlier.tree, path) == wanted
        if not same[move.image]:
            break
        since, at = move, back
    return since, at
