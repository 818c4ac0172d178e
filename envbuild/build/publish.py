"""What a finished recipe becomes for others: an image, a moved tag, and the lock; the needed recipes' first."""

from __future__ import annotations

import os
import time

from envbuild.build.events import BuildFinished, Notice
from envbuild.build.files_read import files_read
from envbuild.build.image_record import image_of
from envbuild.build.kept_sources import sources_of
from envbuild.build.lock_write import lock_of, write_lock
from envbuild.build.request import BuildResult
from envbuild.build.state import RecipeRun, Session
from envbuild.git.git_dir import branch_of
from envbuild.git.provenance import provenance
from envbuild.lockfile import lock as locks
from envbuild.lockfile.lock import Lock
from envbuild.plan import image_config as plan_facts
from envbuild.store.image_reference import LATEST, as_tag, split_name
from envbuild.store.tags import BUILD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

USED = "used"
"""Under which the store's memo keeps when the steps of a recipe were last noted as used."""
USE_NOTED_EVERY = 3600.0


def publish_all(session: Session) -> BuildResult:
    """Records the images, moves the tags, and writes the locks, the needed recipes' first."""
    made = {locks.path_of(one.recipe.path): lock_of(one, session.store) for one in session.recipes}
    results = [_publish(session, one, made) for one in session.recipes]
    return results[-1]


def _publish(session: Session, one: RecipeRun, made: dict[str, Lock]) -> BuildResult:
    top = one is session.recipes[-1]
    recipe, target = one.recipe, one.target
    lock_path = locks.path_of(recipe.path)
    image = made[lock_path].image
    known = session.store.images.get(image)
    ran = any(not result.cached for run in one.runs for result in (*run.results, *run.tests))
    if known is None or ran or (known.tree, known.facts) != (target.tree, plan_facts.dump(target.facts)):
        sources = sources_of(session, one, {path: locks.dump(lock) for path, lock in made.items()})
        session.store.images.put(image_of(recipe, one.runs, target, sources))
    tags = _move_tags(session, one, image)
    _note_use(session, one)
    session.store.images.succeed(recipe.name)
    state = "none"
    if not (top and (session.request.stage is not None or session.request.settings)):
        state = write_lock(session, one, made[lock_path])
    if top:
        session.emit(
            BuildFinished(
                recipe.name,
                image,
                tags,
                target.tree,
                time.monotonic() - session.started,
                session.counts["ran"],
                session.counts["cached"],
                lock_path,
                state,
            )
        )
    return BuildResult(image, target.tree, tags, session.counts["ran"], session.counts["cached"])


def _provenance(session: Session, one: RecipeRun) -> dict[str, Any]:
    """Where in git's history the recipe stands; tells of files that only git's filters could say that of."""
    found = provenance(
        one.recipe.path, files_read(session, one), [context.folder for context in session.contexts_of(one)]
    )
    if found.converted:
        paths = ", ".join(path for path, _ in found.converted[:3])
        more = f" and {len(found.converted) - 3} more" if len(found.converted) > 3 else ""
        text = f"{paths}{more} may be as committed: git's own conversions ({found.converted[0][1]}) are not run"
        session.emit(Notice("note", text, "the build is on record as made from changed files"))
    return found.known


def _note_use(session: Session, one: RecipeRun) -> None:
    """Notes that the steps were used, once an hour for each recipe: a build with nothing to do has no time to write."""
    store, now = session.store, time.time()
    path = os.path.abspath(one.recipe.path)
    before = store.memo.get(USED, path)
    if store.database.read_only or (before is not None and float(before) > now - USE_NOTED_EVERY):
        return
    store.steps.touch([result.key for run in one.runs for result in (*run.results, *run.tests)])
    store.memo.put(USED, path, str(now).encode())


def _move_tags(session: Session, one: RecipeRun, image: str) -> tuple[str, ...]:
    """Has the recipe's tags name the image; returns them."""
    request, tags = session.request, session.store.tags
    top = one is session.recipes[-1]
    if top and request.tag is not None:
        names = [split_name(request.tag)]
    elif top and request.stage is not None:
        return ()
    else:
        branch = branch_of(os.path.dirname(one.recipe.path))
        names = [(one.recipe.name, tag) for tag in dict.fromkeys((LATEST, as_tag(branch or LATEST) or LATEST))]
    moving = []
    for name, tag in names:
        was = tags.get(name, tag)
        if was is None or was.image != image or (request.immutable and top and not was.immutable):
            moving.append((name, tag))
    if moving:
        known = {
            "user": request.user,
            "recipe": one.recipe.path,
            "seconds": round(time.monotonic() - session.started, 3),
            "ran": session.counts["ran"],
            "cached": session.counts["cached"],
            **_provenance(session, one),
        }
        tags.move(moving, image, BUILD, known, immutable=request.immutable and top)
    return tuple(f"{name}:{tag}" for name, tag in names)
