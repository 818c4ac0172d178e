"""The review of two revisions: how environments changed between them, and whether locks match their recipes."""

from __future__ import annotations

import os
from collections.abc import Iterator

from envbuild.build.lock_status import (
    CURRENT,
    INCOMPLETE,
    MISSING,
    OUTDATED,
    UNREADABLE,
    LockState,
    image_in_commit,
    state_of,
)
from envbuild.build.open_network import notes_of
from envbuild.errors import EnvbuildError, UsageError, fields
from envbuild.git.checkout import checked_out
from envbuild.git.lock_at_revision import LockedRecipe, locked_at
from envbuild.git.repository import NotInRevision, Repository
from envbuild.history.compare import Comparison, compare
from envbuild.history.concerned_recipes import RECIPE, Recipes
from envbuild.history.operand import Operand, operand_of_recipe
from envbuild.images.find import InCommit
from envbuild.lockfile.lock import path_of
from envbuild.packages.pin_changes import PinChange, pin_changes
from envbuild.record import Record
from envbuild.store.store import Store


class Review(Record):
    """A recipe in two revisions. `old` and `new` are None if the revision has no lock for it, and `comparison` then
    too; a new recipe without a lock has none of them. `state` is that of its lock in the newer revision, or `removed`;
    `reasons` say why, and `proven` is as in LockState. `pins` are what of the locks a reader must not miss, `notes` are
    about the newer recipe."""

    path: str
    old: Operand | None
    new: Operand | None
    comparison: Comparison | None
    state: str
    reasons: tuple[str, ...]
    proven: bool = False
    pins: tuple[PinChange, ...] = ()
    notes: tuple[str, ...] = ()


@fields
class NoRange(UsageError):
    """A text that does not name two revisions."""

    revisions: str

    def text(self) -> tuple[str, str]:
        return (
            f"'{self.revisions}' is not REV1..REV2",
            "as in: envbuild git check main..HEAD, or main...HEAD for the changes since they diverged",
        )


def split_range(repository: Repository, text: str) -> tuple[str, str]:
    """Return the two commits of `REV1..REV2`; for `REV1...REV2`, the first is where they diverged. An empty revision
    means HEAD."""
    dots = "..." if "..." in text else ".."
    first, separator, second = text.partition(dots)
    if not separator:
        raise NoRange(text)
    old, new = repository.commit_of(first or "HEAD"), repository.commit_of(second or "HEAD")
    return (repository.merge_base(old, new) if dots == "..." else old), new


def review(store: Store, repository: Repository, old: str, new: str) -> Iterator[Review]:
    """Yield the recipes whose environment, text or files changed between two commits, sorted by path."""
    changed = frozenset(repository.changed(old, new))
    if not changed:
        return
    names = repository.files(new, RECIPE)
    touched = {path for path in (*repository.files(old, RECIPE), *names) if {path, path_of(path)} & changed}
    with checked_out(repository, new) as folder:
        concerned = set(Recipes(store, os.path.realpath(folder), names).concerned(changed))
        for path in sorted(concerned | touched):
            locked_before, _ = _locked(repository, old, path)
            locked, problem = _locked(repository, new, path)
            before = _operand(store, repository, locked_before)
            if problem:
                yield Review(path, before, None, None, UNREADABLE, (problem,))
                continue
            if before is None and locked is None and path not in concerned:
                continue  # it may be no recipe: other tools keep variables in .env files
            gone = not os.path.lexists(f"{folder}/{path}")
            state = None if gone else _state(path, folder, store, repository)
            after = _operand(store, repository, locked, state)
            comparison = compare(store, before, after) if before is not None and after is not None else None
            unchanged = comparison is not None and comparison.same and not comparison.network
            lock = locked_before.lock if locked_before is not None else None
            pins = tuple(pin_changes(lock, locked.lock)) if locked is not None else ()
            is_current = state is not None and state.state == CURRENT
            if unchanged and is_current and path not in changed and not pins:
                continue
            word, reasons = ("removed", ()) if state is None else (state.state, _reasons(state, folder))
            proven = state is not None and state.proven
            notes = () if gone else _notes(path, folder, store)
            yield Review(path, before, after, comparison, word, reasons, proven, pins, notes)


def staged(store: Store, repository: Repository) -> Iterator[tuple[str, LockState, tuple[str, ...]]]:
    """Yield the recipes that the next commit concerns, with the state that their locks will have in it, and notes; also
    new ones without a lock."""
    changed = repository.staged()
    if not changed:
        return
    paths = [file.path for file in repository.tracked(None) if file.path.endswith(RECIPE)]
    with checked_out(repository, None) as folder:
        for path in Recipes(store, os.path.realpath(folder), paths).concerned(changed):
            state = _state(path, folder, store, repository)
            yield path, state.replace(reasons=_reasons(state, folder)), _notes(path, folder, store)


def outdated(state: str) -> bool:
    """Return whether a recipe must not be committed with its lock in this state."""
    return state in (OUTDATED, MISSING, UNREADABLE)


def _locked(repository: Repository, commit: str, path: str) -> tuple[LockedRecipe | None, str]:
    """Return a recipe with its lock in a revision, None if it has none; and the problem of a lock that can't be read:
    one bad file must not hide the others."""
    try:
        return locked_at(repository.root, commit, f"/{path}"), ""
    except NotInRevision:
        return None, ""
    except EnvbuildError as error:
        return None, error.message.splitlines()[0]


def _operand(
    store: Store, repository: Repository, locked: LockedRecipe | None, state: LockState | None = None
) -> Operand | None:
    """Return the operand of a recipe in a revision, None for none. `state` is that of the lock, if it is known."""
    if locked is None:
        return None
    if state is not None:
        in_commit = InCommit(state.image, state.proven, "")
    else:
        in_commit = image_in_commit(store, repository.root, locked.commit, locked.path)
    operand = operand_of_recipe(store, f"{locked.path} at {locked.commit[:12]}", locked.lock, in_commit)
    return operand.replace(recipe=((locked.path, locked.recipe),))


def _state(path: str, folder: str, store: Store, repository: Repository) -> LockState:
    """Return the lock state of a recipe that is checked out in `folder`."""
    state = state_of(f"{folder}/{path}", store, os.path.realpath(folder))
    if state.state not in (OUTDATED, INCOMPLETE):
        return state
    read = [os.path.relpath(file, os.path.realpath(folder)) for file in state.read]
    converted = repository.converted(read) if read else {}
    if not converted:
        return state
    # Filters are the repository's programs and are not run: a file that one of them makes differs here from the built
    # one. This is reported but does not excuse: attributes are the repository's too, and could switch the check off.
    shown = ", ".join(f"{name} ({what})" for name, what in sorted(converted.items())[:5])
    reason = f"git's own conversions are not run, so files may differ only for that: {shown}"
    return state.replace(reasons=(*state.reasons, reason))


def _notes(path: str, folder: str, store: Store) -> tuple[str, ...]:
    notes = notes_of(f"{folder}/{path}", store, os.path.realpath(folder))
    return tuple(note.replace(f"{folder}/", "") for note in notes)


def _reasons(state: LockState, folder: str) -> tuple[str, ...]:
    """Return the reasons, with paths relative to the repository."""
    return tuple(reason.replace(f"{folder}/", "") for reason in state.reasons)
