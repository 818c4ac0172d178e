"""Why a file of an image is as it is: the statement that made it, who wrote that, whose file it is, and since when."""

from __future__ import annotations

import os
from collections.abc import Iterator

from envbuild.errors import EnvbuildError
from envbuild.history.build_commits import Commits, build_of
from envbuild.packages.inventory.owner import Owner, owner_of
from envbuild.record import Record
from envbuild.store.image_reference import parse_reference
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
    """What a tree on the way to an image was made by: a base (`text` begins with `from`, no place), or a statement with
    its place `file:line`, in the image (a digest) of whose build it is."""

    image: Digest
    stage: str
    text: str
    file: str
    line: int
    tree: Digest


class Touch(Record):
    """A maker that did something to the path: `verb` is made, changed or removed."""

    verb: str
    maker: Maker


class Reasons(Record):
    """All that is known of one path: `touches` in the order of the build, the last made it what it is (empty where the
    store no longer has the trees between); `author` None where git does not know the line, and `uncommitted` then says
    whether it was in no commit; `since` the oldest entry of the history from which on it is as it is."""

    entry: Entry
    touches: tuple[Touch, ...]
    owner: Owner | None
    author: Author | None
    uncommitted: bool
    since: HistoryEntry | None
    back: int


def why(store: Store, image: Image, reference: str, path: bytes, entry: Entry) -> Reasons:
    """Why `entry` at the true `path` of the image is as it is. `reference` is how the user called the image: if that is
    a name, it is the history of this name that tells since when."""
    touches = tuple(_touches(store, image, path))
    author, uncommitted = None, False
    if touches and touches[-1].maker.file:
        author, uncommitted = _author(store, touches[-1].maker)
    since, back = _since(store, image, reference, path, entry)
    owner = owner_of(store, image.tree, path.decode("utf-8", "surrogateescape"))
    return Reasons(entry, touches, owner, author, uncommitted, since, back)


def makers(store: Store, image: Image) -> list[Maker]:
    """What made the image, the base first: along the stages, recipes and images that it is built on."""
    stages = image.known.get("stages", [])
    return _makers(store, image, stages, stages[-1]["stage"]) if stages else []


def _makers(store: Store, image: Image, stages: list[dict[str, Any]], name: str) -> list[Maker]:
    stage = next(one for one in stages if one["stage"] == name)
    kind, _, argument = stage["origin"].partition(" ")
    found: list[Maker] = []
    if kind == "stage":
        found = _makers(store, image, stages, argument)
    else:
        below = None
        if kind == "image":
            below = store.images.get(argument.removeprefix("sha256:"))
        elif kind == "recipe":
            below = store.images.of_tree(stage["tree"])
        if below is not None and below.digest != image.digest:
            found = makers(store, below)
    if not found:
        found = [Maker(image.digest, name, f"from {stage['base']}", "", 0, stage["tree"])]
    steps = [step for step in stage["steps"] if step["kind"] != "test"]
    return [
        *found,
        *(Maker(image.digest, name, one["text"], one["file"], one["line"], one["tree"]) for one in steps),
    ]


def _touches(store: Store, image: Image, path: bytes) -> Iterator[Touch]:
    before: Entry | None = None
    for maker in makers(store, image):
        if not store.trees.has(maker.tree):
            continue
        now = _seen(store, maker.tree, path)
        if now != before:
            yield Touch("made" if before is None else "removed" if now is None else "changed", maker)
        before = now


def _seen(store: Store, tree: Digest, path: bytes) -> Entry | None:
    """What the tree has at the path; of a folder only what is its own."""
    entry = lookup(store.trees, tree, path, follow=False)
    return own(entry) if entry is not None and entry.kind == DIRECTORY else entry


def _author(store: Store, maker: Maker) -> tuple[Author | None, bool]:
    """Who wrote the statement, by the commit of the build that made the image; and whether it was in none."""
    built = build_of(store, maker.image)
    if built is None:
        return None, False
    known = built.known
    # The statement may stand in a file that the recipe includes.
    inner = os.path.relpath(maker.file, os.path.dirname(known.get("recipe", "")) or ".")
    path = os.path.normpath(os.path.join(os.path.dirname(known.get("file", "")), inner))
    first = maker.text.strip().partition("\n")[0].strip()
    with Commits() as commits:
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
    """The oldest entry of the name's history from which on the path has been as it is, and how far back that is."""
    parsed = parse_reference(reference)
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
    for back, one in enumerate(store.tags.history(*name)):
        if not begun and one.image != image.digest:
            continue
        begun = True
        if one.image is None:
            break
        if one.image not in same:
            other = store.images.get(one.image)
            same[one.image] = other is not None and _seen(store, other.tree, path) == wanted
        if not same[one.image]:
            break
        since, at = one, back
    return since, at
