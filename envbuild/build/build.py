"""One build, whole: loads the recipes, walks along what is cached, runs what is missing, publishes what came out.

First all stages go as far as the cache reaches, in one thread and without the machine: a build with nothing to do
ends there. Only then is the namespace entered and a thread started for each stage that is left.
"""

from __future__ import annotations

import os

from envbuild.build.bases import Bases
from envbuild.build.events import Emit, Notice
from envbuild.build.inputs import Gatherer, known_file
from envbuild.build.job import BuildJob
from envbuild.build.loader import STEP_STATEMENTS, load_graph
from envbuild.build.locked_answers import LockedAnswers
from envbuild.build.named_image import fits
from envbuild.build.progress import Progress, SharedTreesLost
from envbuild.build.publish import image_of, publish_all
from envbuild.build.recipe_files import project_of
from envbuild.build.reporter import Reporter
from envbuild.build.request import BuildRequest, BuildResult
from envbuild.build.sources import Sources
from envbuild.build.store_cache import StoreCache
from envbuild.build.walk import walk
from envbuild.linux.subids import has_single_id
from envbuild.lockfile.lock import EARLIER, LockOutOfDate
from envbuild.plan.image_config import image_digest
from envbuild.record import Pairs
from envbuild.store.database import StoreDamaged, StoreUnusable
from envbuild.store.images import Image
from envbuild.store.reboot_check import recover
from envbuild.store.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from envbuild.build.shared_places import SharedPlaces

    Ended = Callable[[BuildJob], None]

MAX_ATTEMPTS = 3
"""How often a build begins again after it found something of the store damaged."""


def build(request: BuildRequest, store: Store, emit: Emit, ended: Ended | None = None) -> BuildResult:
    """Build a recipe and return the image that it came to.

    `emit` is called with each event, also from other threads. What is found damaged in the store is put aside, told,
    and made again. `ended` is called with a build whose image was recorded and tagged. Raises EnvbuildError kinds; one
    with `told` was reported as an event already.
    """
    store.share()
    recover(store)
    if request.cache_from or request.cache_to:
        from envbuild.build.shared_places import SharedPlaces  # only where somebody shares

        with SharedPlaces(request, store) as places:
            return _attempts(request, store, emit, places, ended)
    return _attempts(request, store, emit, None, ended)


def _attempts(
    request: BuildRequest, store: Store, emit: Emit, places: SharedPlaces | None, ended: Ended | None
) -> BuildResult:
    attempt = 1
    while True:
        try:
            return _build(request, store, emit, places, ended)
        except StoreDamaged as error:
            if store.database.read_only or attempt == MAX_ATTEMPTS or not store.lost.identities():
                raise
            attempt += 1
            emit(Notice("warning", error.message, "it was put aside, and what made it runs again"))
        except SharedTreesLost:
            assert places is not None
            places.lose()
        finally:
            for line in store.take_notes():
                emit(Notice("warning", line))


def built_image(path: str, store: Store, epoch: int | None = None, settings: Pairs = ()) -> Image | None:
    """Return the image of the recipe at `path` as it is now, with these parameters; None if a part of it was not built
    yet. Nothing runs, and nothing is written.

    Raises the errors of a build that can't begin: RecipeErrors, ContextError, BadLock.
    """
    job = cached_job(BuildRequest(path=path, settings=settings, epoch=epoch), store)
    if not job.progress.complete:
        return None
    image = image_of(job, job.graph.top)
    return store.images.get(image.digest) or image


def cached_job(request: BuildRequest, store: Store) -> BuildJob:
    """Return a build that went as far as the store has results, and tells nobody."""
    job = _prepare(request, store, lambda event: None)
    _walk_cached(job)
    return job


def _build(
    request: BuildRequest, store: Store, emit: Emit, places: SharedPlaces | None, ended: Ended | None
) -> BuildResult:
    job = _prepare(request, store, emit)
    if places is not None:
        places.serve(job)
    progress, reporter = job.progress, job.reporter
    if request.renew:
        from envbuild.build.lock_changes import refuse_unknown

        refuse_unknown(job.graph.top, request.renew)
    answers, inputs = _walk_cached(job)
    if places is not None:
        places.prepare()
    if not progress.complete:
        if store.database.read_only:
            raise StoreUnusable(store.path, "it may only be read, and not all of the build is in it")
        from envbuild.build.tree_steps import only_trees_left, perform_ahead, perform_left

        if only_trees_left(job):
            perform_left(job, answers, inputs)
        elif job.cache.reuse is not None:
            perform_ahead(job, answers, inputs)
    if not progress.complete:
        from envbuild.build.helper_ahead import helper_ahead  # sandbox and threads: only when something runs

        with helper_ahead(job) as helper:
            from envbuild.build.scheduler import Scheduler

            Scheduler(job).run(helper)
    if places is not None and not request.dry_run:
        places.bring_images()
    if request.dry_run:
        result = BuildResult("", "", (), reporter.ran, reporter.cached)
    elif not (request.record and request.publish):
        target = progress[job.graph.top.target]
        image = image_digest(target.tree, target.facts)
        result = BuildResult(image, target.tree, (), reporter.ran, reporter.cached)
    else:
        result = publish_all(job)
        if ended is not None:
            ended(job)
        if places is not None:
            places.export()
    if request.dry_run or request.refresh or request.renew:
        from envbuild.build.lock_changes import moves  # only `update` shows them

        named = frozenset(request.renew)
        pin_moves = tuple(
            move for recipe in job.graph.recipes for move in moves(recipe, progress, job.sources, store, named)
        )
        result = result.replace(moves=pin_moves)
    return result


def _prepare(request: BuildRequest, store: Store, emit: Emit) -> BuildJob:
    """Return the build that is asked for, with its recipes loaded and nothing done yet."""
    reporter = Reporter(emit)
    project = request.project or project_of(request.path)
    graph = load_graph(request, store, project)
    reporter.begin_build(graph)
    for recipe in graph.recipes:
        if recipe.lock is not None and recipe.lock.is_earlier:
            if request.locked:
                raise LockOutOfDate(recipe.lock_path, EARLIER)
            if not request.refresh:
                emit(
                    Notice(
                        "note",
                        f"{recipe.lock_path}: {EARLIER}: its steps run again, with the packages that it has",
                        "the lock is renewed: commit it with the recipe",
                    )
                )
    rerun: frozenset[tuple[str, int]] = frozenset()
    if request.rerun:
        from envbuild.build.rerun_lines import spots  # only where it is asked for

        rerun = spots([recipe.recipe for recipe in graph.recipes], STEP_STATEMENTS, request.rerun)
    sources = Sources(store, project, fits, pinned=not request.refresh, trust=request.trust)
    bases = Bases(store, graph, sources, request)
    cache = StoreCache(store, bases, request, rerun, owners_kept=not has_single_id(os.geteuid()))
    if request.trace and request.record and not store.database.read_only:
        from envbuild.build.reuse import Reuse  # only where steps are traced

        cache.reuse = Reuse(store, graph, request, owners_kept=cache.owners_kept)
    return BuildJob(request, store, project, graph, sources, bases, cache, Progress(graph), reporter)


def _walk_cached(job: BuildJob) -> tuple[LockedAnswers, Gatherer]:
    """Take every stage as far as the store has results; return what was asked on the way."""
    answers = LockedAnswers(job.graph, job.store, renew=frozenset(job.request.renew), strict=job.request.locked)
    inputs = Gatherer(job.store, job.graph, job.sources, job.progress.ended, known_file)
    for met in walk(job.graph.stages, job.progress, job.cache, answers, inputs):
        job.take(met)
    return answers, inputs
