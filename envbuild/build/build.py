"""One build, whole: loads the recipes, goes along what is cached, runs what is missing, publishes what came out.

First all stages go as far as the cache reaches, in one thread and without the machine: a build with nothing to do
ends there. Only then is the namespace entered and a thread started for each stage that is left.
"""

from __future__ import annotations

from envbuild.build.events import Emit, Notice
from envbuild.build.loader import STEP_STATEMENTS, load_all
from envbuild.build.named_image import fits
from envbuild.build.publish import publish_all
from envbuild.build.recovery import recover
from envbuild.build.request import BuildRequest, BuildResult
from envbuild.build.state import Session
from envbuild.lockfile.lock import path_of
from envbuild.plan.image_config import image_digest
from envbuild.store.database import StoreDamaged, StoreUnusable
from envbuild.store.store import Store

ATTEMPTS = 3
"""How often a build begins again after it found something of the store damaged."""


def build(request: BuildRequest, store: Store, emit: Emit) -> BuildResult:
    """Builds a recipe and returns the image that it came to.

    `emit` is called with each event, also from other threads. What is found damaged in the store is put aside, told,
    and made again. Raises EnvbuildError kinds; one with `told` was reported as an event already.
    """
    store.share()
    recover(store)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _build(request, store, emit)
        except StoreDamaged as error:
            if store.database.read_only or attempt == ATTEMPTS or not store.lost.identities():
                raise
            emit(Notice("warning", error.message, "it was put aside, and what made it runs again"))
        finally:
            for line in store.take_notes():
                emit(Notice("warning", line))
    raise AssertionError("the last attempt raises or returns")


def _build(request: BuildRequest, store: Store, emit: Emit) -> BuildResult:
    session = Session(request, store, emit, fits)
    load_all(session)
    if request.renew:
        from envbuild.build.lock_changes import refuse_unknown

        top = session.recipes[-1]
        refuse_unknown(top, request.renew, path_of(top.recipe.path))
    if request.rerun:
        from envbuild.build.rerun import spots  # only where it is asked for

        session.rerun = spots([one.recipe for one in session.recipes], STEP_STATEMENTS, request.rerun)
    if not session.go_along_cache():
        if store.database.read_only:
            raise StoreUnusable(store.path, "it may only be read, and not all of the build is in it")
        from envbuild.build.scheduler import MissingRunner  # sandbox and threads: only when something runs

        MissingRunner(session).run()
    if request.dry_run:
        result = BuildResult("", "", (), session.counts["ran"], session.counts["cached"])
    elif not (request.record and request.publish):
        target = session.recipes[-1].target
        image = image_digest(target.tree, target.facts)
        result = BuildResult(image, target.tree, (), session.counts["ran"], session.counts["cached"])
    else:
        result = publish_all(session)
    if request.dry_run or request.refresh or request.renew:
        from envbuild.build.lock_changes import moves  # only `update` shows them

        result = result.replace(moves=tuple(move for one in session.recipes for move in moves(one)))
    return result
