"""The merge of three trees, and of three images."""

from __future__ import annotations

from envbuild.images.find import facts_of
from envbuild.merge.accounts import Renumbering
from envbuild.merge.choices import OURS, THEIRS, Choices, NoSuchConflict
from envbuild.merge.conflict import Conflict
from envbuild.merge.draft import Draft
from envbuild.merge.facts import merge_facts
from envbuild.merge.packages import Contested, conflict_of, contested_packages, owned_paths
from envbuild.merge.renumber import Renumbered, renumber
from envbuild.merge.resolve import Resolution
from envbuild.merge.three_way import Collision, combine
from envbuild.plan.image_config import Facts
from envbuild.record import Record
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.tree.apply import Edit, edit
from envbuild.tree.entry import DIRECTORY, Digest
from envbuild.tree.lookup import lookup

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
    plain_theirs, moved = theirs, Renumbered(theirs)
    if choices.renumber and base not in (ours, theirs):
        moved = renumber(draft, store.objects, base, ours, theirs)
        theirs = moved.tree
    combined = combine(draft, base, ours, theirs)
    if not combined.collisions:
        if keep:
            draft.keep(store, combined.tree)
        return Merged(combined.tree, renumbered=moved.moved, numbers=moved.numbers)
    # By the trees of the store: numbers of owners say nothing of packages.
    contested, _ = contested_packages(store, base, ours, plain_theirs, choices)
    owned = owned_paths(store, ours, plain_theirs, contested, combined.collisions) if contested else {}
    resolution = Resolution(draft, store.objects, choices, contested)
    folded: dict[int, list[bytes]] = {}
    for collision in combined.collisions:
        number = _owner(owned, collision.path)
        if number is not None and not _is_folder(collision):
            folded.setdefault(number, []).append(collision.path)
        else:
            resolution.resolve(collision)
    resolution.finish()
    edits = list(resolution.edits)
    conflicts = list(resolution.conflicts)
    decided = list(resolution.decided)
    for number, package in enumerate(contested):
        if package.side:
            decided += package.names
            edits += _of_side(draft, package, ours if package.side == OURS else theirs, owned, number)
        else:
            conflicts.append(conflict_of(package, folded.get(number, ())))
    tree = edit(draft, combined.tree, edits, 0)
    if keep:
        draft.keep(store, tree)
    return Merged(
        tree, tuple(conflicts), tuple(dict.fromkeys(decided)), tuple(resolution.stale), moved.moved, moved.numbers
    )


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


def _of_side(draft: Draft, package: Contested, tree: Digest, owned: dict[bytes, int], number: int) -> list[Edit]:
    """Return the edits that give a package the files of one side."""
    edits = []
    for path, owner in owned.items():
        if owner != number:
            continue
        entry = lookup(draft, tree, path, follow=False)
        if entry is not None and entry.kind == DIRECTORY and b"node_modules/" not in path:
            continue  # others have files there, too
        edits.append(Edit(path, entry, True))
    return edits


def merge_images(
    store: Store, base: Image, ours: Image, theirs: Image, choices: Choices = NO_CHOICES, *, keep: bool = True
) -> MergedImage:
    """Merge three images: their trees, and their facts by name. Raises what merge_trees does, OtherMachines, and
    NoSuchConflict for a choice that decides nothing."""
    merged = merge_trees(store, base.tree, ours.tree, theirs.tree, choices, keep=keep)
    facts, conflicts, decided = merge_facts(facts_of(base), facts_of(ours), facts_of(theirs), choices)
    everything = (*merged.conflicts, *conflicts)
    all_decided = (*merged.decided, *decided)
    unused = choices.unused(all_decided)
    if unused:
        names = sorted({conflict.name for conflict in everything} | set(all_decided))
        raise NoSuchConflict(unused[0], tuple(names))
    return MergedImage(merged, facts, everything, all_decided)


__all__ = ["OURS", "THEIRS", "Merged", "MergedImage", "merge_images", "merge_trees"]
