"""The real build of a merged recipe, held against the image that was merged from two others.

It runs in a process of its own, as it may take minutes, and writes into the store what it found: nobody waits for it,
and whoever asks later is told (`envbuild merge --status`, `envbuild status`). The merged image is only an answer that
is there at once: the lock gets what the steps gave, and nothing of the image that was put together.
"""

from __future__ import annotations

import os
import time

from envbuild.build.build import build
from envbuild.build.check_differences import MAX_PATHS, differences
from envbuild.build.events import Emit
from envbuild.build.request import BuildRequest
from envbuild.digest import sha256_of
from envbuild.errors import EnvbuildError, Interrupted
from envbuild.history.status import Status
from envbuild.images.find import facts_of
from envbuild.linux.nofollow import read_plain
from envbuild.lockfile.lock import path_of
from envbuild.record import Record
from envbuild.store.store import Store
from envbuild.text import json
from envbuild.tree.diff import aspects, diff
from envbuild.tree.entry import Digest

WAITING, RUNNING, SAME, TIMES, DIFFERENT, FAILED, LEFT, LOST = (
    "waiting",
    "running",
    "same",
    "same but for times",
    "different",
    "failed",
    "left",
    "lost",
)
"""WAITING: the recipe has conflicts yet. LEFT: recipe or lock changed while it ran, so that its lock was not written.
LOST: the process that ran it is gone."""
_KIND = "rebuild of merge"
_MAX_BYTES = 64 << 20
_MAX_LINE = 300


class Rebuild(Record):
    """What is known of the build of a merged recipe. `merged` is the digest of the image that was put together, and
    `rebuilt` what the build came to, "" before that. `state` is one of the words above, `lines` say what differs or
    why it failed, `began` and `ended` are seconds since 1970."""

    recipe: str
    merged: Digest
    state: str
    rebuilt: Digest = ""
    lines: tuple[str, ...] = ()
    began: float = 0.0
    ended: float = 0.0


def rebuild_of(store: Store, recipe: str) -> Rebuild | None:
    """Return what is known of the rebuild of a recipe (its path), None if there was none."""
    real = os.path.realpath(recipe)
    kept = store.memo.get(_KIND, _name_of(real))
    if kept is None:
        return None
    plain = json.loads(kept.decode())
    known = Rebuild(real, **{**plain, "lines": tuple(plain["lines"])})
    if known.state == RUNNING and not store.work.is_held(_lock_name(real)):
        return known.replace(state=LOST)
    return known


def rebuild_in_question(store: Store, recipe: Status) -> Rebuild | None:
    """Return what is known of the rebuild of a recipe as far as it matters now: of what the recipe gives, or while
    nothing is known of that."""
    rebuild = rebuild_of(store, recipe.path)
    if rebuild is None or (recipe.in_store and rebuild.rebuilt != recipe.image and rebuild.state != RUNNING):
        return None
    return rebuild


def note(store: Store, rebuild: Rebuild) -> None:
    """Write down what is known of a rebuild."""
    plain = {
        "merged": rebuild.merged,
        "state": rebuild.state,
        "rebuilt": rebuild.rebuilt,
        "lines": list(rebuild.lines),
        "began": rebuild.began,
        "ended": rebuild.ended,
    }
    store.memo.put(_KIND, _name_of(rebuild.recipe), json.dumps(plain, sort_keys=True).encode())


def run_rebuild(store: Store, recipe: str, merged: Digest, request: BuildRequest, emit: Emit) -> Rebuild:
    """Build a recipe, hold the result against the image `merged`, and write down what came of it, also of a build that
    fails. Whoever rebuilds it already is waited for.

    The lock is written and the tags move as with any build, if recipe and lock are still what they were when it began:
    a merge may be given up meanwhile.
    """
    real = os.path.realpath(recipe)
    with store.work.exclusive(_lock_name(real)):
        begun = Rebuild(real, merged, RUNNING, began=time.time())
        note(store, begun)
        try:
            done = _run(store, begun, recipe, request, emit)
        except EnvbuildError as error:
            lines = tuple(line[:_MAX_LINE] for line in error.message.splitlines()[:MAX_PATHS])
            done = begun.replace(state=FAILED, lines=lines)
            if isinstance(error, Interrupted):
                note(store, done.replace(ended=time.time()))
                raise
        done = done.replace(ended=time.time())
        note(store, done)
        return done


def _run(store: Store, begun: Rebuild, recipe: str, request: BuildRequest, emit: Emit) -> Rebuild:
    texts = _texts(begun.recipe)
    result = build(request.replace(path=recipe, publish=False), store, emit)
    if _texts(begun.recipe) != texts:
        return begun.replace(state=LEFT, rebuilt=result.image)
    # All of it is cached now: this moves the tags and writes the lock.
    result = build(request.replace(path=recipe), store, lambda event: None)
    return compared(store, begun.replace(rebuilt=result.image), result.tree)


def compared(store: Store, rebuild: Rebuild, tree: Digest) -> Rebuild:
    """Return a rebuild with what differs between the merged image and what was built, whose tree is `tree`."""
    if rebuild.rebuilt == rebuild.merged:
        return rebuild.replace(state=SAME)
    merged, built = store.images.get(rebuild.merged), store.images.get(rebuild.rebuilt)
    if merged is None:
        return rebuild.replace(state=DIFFERENT, lines=("the merged image is no longer in this store",))
    lines = []
    if built is not None and facts_of(built) != facts_of(merged):
        lines.append("its facts differ: envbuild show has them")
    changes = list(diff(store.trees, merged.tree, tree))
    if all(aspects(change) == ("time",) for change in changes):
        state = DIFFERENT if lines else TIMES
        return rebuild.replace(state=state, lines=(*lines, f"{len(changes)} paths have other times"))
    lines += differences(store, merged.tree, tree, ("the merged image", "the build"))
    return rebuild.replace(state=DIFFERENT, lines=tuple(line[:_MAX_LINE] for line in lines))


def _texts(recipe: str) -> tuple[bytes, ...]:
    """Return what recipe and lock say now."""
    texts = []
    for path in (recipe, path_of(recipe)):
        try:
            texts.append(read_plain(os.path.realpath(path), _MAX_BYTES))
        except OSError:
            texts.append(b"")
    return tuple(texts)


def _name_of(recipe: str) -> str:
    """Return a name for a path, which need not be text."""
    return sha256_of(os.fsencode(recipe))[:32]


def _lock_name(recipe: str) -> str:
    return f"rebuild-{_name_of(recipe)}"
