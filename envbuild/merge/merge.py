"""The merge of three trees, and of three images."""

from __future__ import annotations

from envbuild.history.package_changes import STATUS
from envbuild.images.find import facts_of
from envbuild.merge.accounts import Renumbering, renumbered_owner
from envbuild.merge.attributes import CONTENT
from envbuild.merge.caches import stale_caches
from envbuild.merge.choices import OURS, THEIRS, Choices, NoSuchConflict
from envbuild.merge.compiled import compiled_edits
from envbuild.merge.conflict import Conflict
from envbuild.merge.conflict_owners import with_owners
from envbuild.merge.draft import Draft
from envbuild.merge.facts import merge_facts
from envbuild.merge.marks import MARKS
from envbuild.merge.packages import Contested, conflict_of, contested_packages, owned_paths
from envbuild.merge.renumber import Renumbered, renumber
from envbuild.merge.resolve import Resolution
from envbuild.merge.three_way import Collision, Combined, combine
from envbuild.packages.inventory.bad_record import MAX_STATUS
from envbuild.packages.inventory.component import DPKG, NODE
from envbuild.plan.image_config import Facts
from envbuild.record import Record
from envbuild.store.images import Image
from envbuild.store.objects import TooLargeToRead
from envbuild.store.store import Store
from envbuild.tree.apply import Edit, edit
from envbuild.tree.diff import Change, diff, expanded, own
from envbuild.tree.entry import DIRECTORY, FILE, Digest
from envbuild.tree.lookup import entry_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

NO_CHOICES = Choices()


class Merged(Record):
    """A merged tree. While there are `conflicts` it has our side of each, and nothing should be made of it. `decided`
    are the conflicts that choices settled, by their names, and `stale` the paths of caches that both sides changed,
    which are not made anew yet (caches.py). `renumbered` are the accounts of theirs that got other `numbers`:
    (user or group, name, old, new)."""

    tree: Digest
    conflicts: tuple[Conflict, ...] = ()
    decided: tuple[str, ...] = ()
    stale: tuple[bytes, ...] = ()
    renumbered: tuple[tuple[str, str, int, int], ...] = ()
    numbers: Renumbering = Renumbering()


class MergedImage(Record):
    """A merged tree with merged facts."""

    merged: Merged
    facts: Facts
    conflicts: tuple[Conflict, ...]
    decided: tuple[str, ...]


def merge_trees(
    store: Store, base: Digest, ours: Digest, theirs: Digest, choices: Choices = NO_CHOICES, *, keep: bool = True
) -> Merged:
    """Merge the changes that led from `base` to `ours` and to `theirs`.

    merge_trees(b, o, b) is o, and merge_trees(b, b, t) is t. With `keep` the tree is written to the store. Raises
    StoreDamaged, and AccountsTooLarge.
    """
    choices.check()
    draft = Draft(store.trees)
    moved = Renumbered(theirs)
    if choices.renumber and base not in (ours, theirs):
        moved = renumber(draft, store.objects, base, ours, theirs)
    combined = combine(draft, base, ours, moved.tree)
    if base in (ours, theirs) or ours == theirs:
        if keep:
            draft.keep(store, combined.tree)
        return Merged(combined.tree, renumbered=moved.moved, numbers=moved.numbers)
    # By the trees of the store: numbers of owners say nothing of packages and caches.
    changes = [list(expanded(store.trees, diff(store.trees, base, tree))) for tree in (ours, theirs)]
    stale = [*stale_caches(changes[0], changes[1])]

    def contents(path: bytes) -> list[bytes]:
        try:
            return [store.read_file(tree, path.decode(), MAX_STATUS) or b"" for tree in (base, ours, theirs)]
        except TooLargeToRead:
            return [b"", b"", b""]

    contested: list[Contested] = []
    owned: dict[bytes, int] = {}
    if combined.collisions or any(change.path == MARKS for side in changes for change in side):
        contested = contested_packages(store, changes[0], changes[1], contents(MARKS), choices)
        owned = owned_paths(store, ours, theirs, contested, combined.collisions) if contested else {}

    resolution = Resolution(draft, store.objects, choices, contested, lambda: contents(STATUS))
    folded: dict[int, list[bytes]] = {}
    collisions = list(combined.collisions)
    if any(package.side and package.package.kind == DPKG for package in contested):
        collisions += _status(draft, (base, ours, moved.tree), combined)
    for collision in collisions:
        number = _owner(owned, collision.path)
        if number is not None and not _is_folder(collision):
            folded.setdefault(number, []).append(collision.path)
        else:
            resolution.resolve(collision)
    resolution.finish()
    edits = list(resolution.edits)
    conflicts = with_owners(store, resolution.conflicts, (ours, theirs))
    decided = list(resolution.decided)
    for number, package in enumerate(contested):
        if package.side:
            decided += package.names
            side = ours if package.side == OURS else moved.tree
            moving = _of_side(draft, package, side, combined.tree, owned, number)
            # A side whose package is not taken made its caches of other files.
            stale += stale_caches((*changes[0], *changes[1]), [Change(e.path, None, e.entry) for e in moving])
            edits += moving
        else:
            conflicts.append(conflict_of(package, folded.get(number, ())))
    tree = edit(draft, combined.tree, edits, 0)
    if combined.removed and edits:
        tree = edit(draft, tree, _without_empty(draft, tree, combined.removed), 0)
    if resolution.compiled:
        compiled = list(compiled_edits(draft, tree, ours, moved.tree, resolution.compiled))
        tree = edit(draft, tree, compiled, 0)
    if keep:
        draft.keep(store, tree)
    stale += resolution.stale
    return Merged(tree, tuple(conflicts), tuple(dict.fromkeys(decided)), tuple(stale), moved.moved, moved.numbers)


def _status(draft: Draft, trees: tuple[Digest, Digest, Digest], combined: Combined) -> list[Collision]:
    """Return dpkg's status as a collision, if it is none by itself: what was decided of a package changes it."""
    before, ours, theirs = (entry_at(draft, tree, STATUS) for tree in trees)
    merged = entry_at(draft, combined.tree, STATUS)
    known = any(collision.path == STATUS for collision in combined.collisions)
    if known or ours is None or theirs is None or ours.kind != FILE or theirs.kind != FILE:
        return []
    return [Collision(STATUS, before, ours, theirs, merged, (CONTENT,))]


def _owner(owned: dict[bytes, int], path: bytes) -> int | None:
    """Return the contested package that a path belongs to, or that it lies in the directory of."""
    while path:
        number = owned.get(path)
        if number is not None:
            return number
        path = path.rpartition(b"/")[0]
    return None


def _is_folder(collision: Collision) -> bool:
    return all(side is not None and side.kind == DIRECTORY for side in (collision.ours, collision.theirs))


def _of_side(
    draft: Draft, package: Contested, side: Digest, merged: Digest, owned: dict[bytes, int], number: int
) -> list[Edit]:
    """Return the edits of the merged tree that give a package the files of one side, with the directories that they are
    in there."""
    edits = []
    folders: set[bytes] = set()
    for path in (path for path, owner in owned.items() if owner == number):
        entry = entry_at(draft, side, path)
        if entry is None:
            edits.append(Edit(path, None))
            continue
        if entry.kind == DIRECTORY and package.package.kind != NODE:
            continue  # others have files there, too
        parts = path.split(b"/")
        for length in range(1, len(parts)):
            folder = b"/".join(parts[:length])
            if folder in folders:
                continue
            folders.add(folder)
            above = entry_at(draft, side, folder)
            if above is not None and entry_at(draft, merged, folder) is None:
                edits.append(Edit(folder, own(above)))
        edits.append(Edit(path, entry, True))
    return edits


def _without_empty(draft: Draft, tree: Digest, removed: Iterable[bytes]) -> list[Edit]:
    """Return the edits that remove directories which one side removed, and which hold nothing any more. `removed` are
    sorted, the deepest first."""
    gone: set[bytes] = set()
    for path in removed:
        entry = entry_at(draft, tree, path)
        if entry is not None and entry.kind == DIRECTORY:
            names = (path + b"/" + inner.name for inner in draft.load(entry.digest))
            if all(name in gone for name in names):
                gone.add(path)
    return [Edit(path, None) for path in gone]


def merge_images(
    store: Store, base: Image, ours: Image, theirs: Image, choices: Choices = NO_CHOICES, *, keep: bool = True
) -> MergedImage:
    """Merge three images: their trees, and their facts by name. Raises what merge_trees does, OtherMachines, and
    NoSuchConflict for a choice that decides nothing."""
    merged = merge_trees(store, base.tree, ours.tree, theirs.tree, choices, keep=keep)
    their_facts = facts_of(theirs)
    their_facts = their_facts.replace(user=renumbered_owner(their_facts.user, merged.numbers))
    facts, conflicts, decided = merge_facts(facts_of(base), facts_of(ours), their_facts, choices)
    everything = (*merged.conflicts, *conflicts)
    all_decided = (*merged.decided, *decided)
    unused = choices.unused(all_decided)
    if unused:
        names = sorted({conflict.name for conflict in everything} | set(all_decided))
        raise NoSuchConflict(unused[0], tuple(names))
    return MergedImage(merged, facts, everything, all_decided)


__all__ = ["OURS", "THEIRS", "Merged", "MergedImage", "merge_images", "merge_trees"]
