"""What a reviewer wants to know of the environments between two revisions: what changed, and whether locks fit."""

from __future__ import annotations

import os
from collections.abc import Iterator

from envbuild.build.lock_status import CURRENT, MISSING, OUTDATED, UNREADABLE, LockState, state_of
from envbuild.errors import EnvbuildError, UsageError
from envbuild.git.checkout import checked_out
from envbuild.git.lock_at_revision import locked_at
from envbuild.git.repository import NotInRevision, Repository
from envbuild.history.compare import Comparison, compare
from envbuild.history.operand import Side, side_of_lock
from envbuild.lockfile.lock import path_of
from envbuild.record import Record
from envbuild.store.store import Store

_RECIPE = ".env"


class Review(Record):
    """One recipe between two revisions. `old` and `new` are None where that revision has no lock of it, and so is
    `comparison`. `state` is that of its lock in the newer revision, or `removed`; `reasons` say why, and `proven` is
    as in LockState."""

    path: str
    old: Side | None
    new: Side | None
    comparison: Comparison | None
    state: str
    reasons: tuple[str, ...]
    proven: bool = False


class NoRange(UsageError):
    """Two revisions were not named."""

    def __init__(self, text: str) -> None:
        super().__init__(
            f"'{text}' is not REV1..REV2", "as in: envbuild git check main..HEAD, or main...HEAD for what came since"
        )


def split_range(repository: Repository, text: str) -> tuple[str, str]:
    """The commits of `REV1..REV2`, or of `REV1...REV2` those from where the two parted. An empty one means HEAD."""
    dots = "..." if "..." in text else ".."
    one, found, other = text.partition(dots)
    if not found:
        raise NoRange(text)
    old, new = repository.commit_of(one or "HEAD"), repository.commit_of(other or "HEAD")
    return (repository.merge_base(old, new) if dots == "..." else old), new


def review(store: Store, repository: Repository, old: str, new: str) -> Iterator[Review]:
    """The recipes whose environment, text or files changed between two commits, by path."""
    changed = repository.changed(old, new)
    if not changed:
        return
    names = {*repository.files(old, _RECIPE), *repository.files(new, _RECIPE)}
    with checked_out(repository, new) as folder:
        for path in sorted(names):
            if not _concerns(path, changed):
                continue
            before, _ = _side(store, repository, old, path)
            after, problem = _side(store, repository, new, path)
            if problem:
                yield Review(path, before, None, None, UNREADABLE, (problem,))
                continue
            if before is None and after is None:
                continue  # nothing says that it is a recipe: other tools keep variables in files that end so
            gone = not os.path.lexists(f"{folder}/{path}")
            state = None if gone else _state(path, folder, store, repository)
            comparison = compare(store, before, after) if before is not None and after is not None else None
            unchanged = comparison is not None and comparison.same
            if unchanged and state is not None and state.state == CURRENT and path not in changed:
                continue
            word, reasons = ("removed", ()) if state is None else (state.state, _told(state, folder))
            yield Review(path, before, after, comparison, word, reasons, state is not None and state.proven)


def staged(store: Store, repository: Repository) -> Iterator[tuple[str, LockState]]:
    """The recipes that the next commit concerns, with the state that their locks will have in it."""
    changed = repository.staged()
    if not changed:
        return
    with checked_out(repository, None) as folder:
        for where, _, names in os.walk(folder):
            for name in sorted(names):
                path = os.path.relpath(f"{where}/{name}", folder)
                if name.endswith(_RECIPE) and os.path.lexists(path_of(f"{where}/{name}")) and _concerns(path, changed):
                    state = _state(path, folder, store, repository)
                    yield path, state.replace(reasons=_told(state, folder))


def outdated(state: str) -> bool:
    """Whether a recipe whose lock is in this state must not be committed."""
    return state in (OUTDATED, MISSING, UNREADABLE)


def _concerns(path: str, changed: list[str]) -> bool:
    """Whether one of the changed files may be a part of the recipe: it lies in the recipe's folder or beside it."""
    folder = os.path.dirname(path)
    return any(one == path or not folder or one.startswith(f"{folder}/") or one.endswith(_RECIPE) for one in changed)


def _side(store: Store, repository: Repository, commit: str, path: str) -> tuple[Side | None, str]:
    """What a revision has of a recipe's lock, None if it has none; and what is wrong with one that can't be read: one
    bad file keeps nobody from seeing the others."""
    try:
        found = locked_at(repository.root, commit, f"/{path}")
    except NotInRevision:
        return None, ""
    except EnvbuildError as error:
        return None, error.message.splitlines()[0]
    side = side_of_lock(store, f"{path} at {commit[:12]}", found.lock)
    return side.replace(recipe=((path, found.recipe),)), ""


def _state(path: str, folder: str, store: Store, repository: Repository) -> LockState:
    """The state of a recipe that is checked out in `folder`."""
    found = state_of(f"{folder}/{path}", store, os.path.realpath(folder))
    if found.state != OUTDATED:
        return found
    read = [os.path.relpath(one, os.path.realpath(folder)) for one in found.read]
    converted = repository.converted(read) if read else {}
    if not converted:
        return found
    # Filters are the repository's programs: a file that one of them makes is not here as it was built from. That is
    # told, and excuses nothing: attributes are the repository's as well, and would switch the check off.
    shown = ", ".join(f"{name} ({what})" for name, what in sorted(converted.items())[:5])
    reason = f"git's own conversions are not run, so files may differ for that alone: {shown}"
    return found.replace(reasons=(*found.reasons, reason))


def _told(state: LockState, folder: str) -> tuple[str, ...]:
    """The reasons, with the files as the repository has them."""
    return tuple(one.replace(f"{folder}/", "") for one in state.reasons)
