"""What a finished recipe becomes for others: an image, a moved tag, and the lock; the needed recipes' first."""

from __future__ import annotations

import os
import time

from envbuild.build.events import BuildFinished, Notice
from envbuild.build.graph import PlannedRecipe, Stage
from envbuild.build.job import BuildJob
from envbuild.build.lock_write import lock_of, write_lock
from envbuild.build.progress import Answer, StageProgress, StepResult
from envbuild.build.request import BuildResult
from envbuild.images.names import Name, Place, place_of, to_set
from envbuild.images.reference import LATEST
from envbuild.language.base_kinds import RecipeBase
from envbuild.lockfile import lock_file
from envbuild.lockfile.lock import Lock
from envbuild.plan import image_config
from envbuild.plan.step import Action, CopyIn, Execute, FetchFile, InstallPackages, Render
from envbuild.record import Pairs
from envbuild.store.images import Image
from envbuild.store.tags import BUILD
from envbuild.text import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

USED = "used"
"""Under which the store's memo keeps when the steps of a recipe were last noted as used."""
USE_NOTED_EVERY = 3600.0


def publish_all(job: BuildJob) -> BuildResult:
    """Record the images, move the tags, and write the locks, the needed recipes' first."""
    made = {recipe.lock_path: lock_of(job, recipe) for recipe in job.graph.recipes}
    results = [_publish(job, recipe, made) for recipe in job.graph.recipes]
    return results[-1]


def image_of(
    job: BuildJob, recipe: PlannedRecipe, sources: dict[str, Any] | None = None, stage: Stage | None = None
) -> Image:
    """Return the image that a recipe came to, or that of one of its stages, with the detail of its build
    (docs/commands.md, `show`) and what it was built from (source_tree.py)."""
    target = job.progress[stage or recipe.target]
    digest = image_config.image_digest(target.tree, target.facts)
    stages = []
    commits = _commits(job, recipe)
    for at in map(job.progress.__getitem__, recipe.stages_of(target.stage)):
        stages.append(
            {
                "stage": at.stage.name,
                "base": at.stage.base_text,
                "origin": at.base.origin,
                "tree": at.base.tree,
                **_base_image(at),
                "steps": [_step_detail(result, at.answers.get(result.number), commits) for result in at.all_results],
            }
        )
    detail = {
        "recipe": recipe.recipe.name,
        "path": recipe.path,
        "parameters": dict(recipe.recipe.parameters),
        "stages": stages,
        **({"sources": sources} if sources else {}),
    }
    text = json.dumps(detail, sort_keys=True, separators=(",", ":"))
    return Image(digest, target.tree, image_config.dump(target.facts), text, time.time())


def _commits(job: BuildJob, recipe: PlannedRecipe) -> dict[str, str]:
    """Return the commits of the git repositories that a recipe fetches, by address."""
    fetched = job.sources.fetched(recipe)
    if not any(url.startswith("git+") for url in fetched):
        return {}
    from envbuild.build.commits import commit_of  # few recipes fetch any

    return {url: commit_of(job.store, recipe.lock, url, digest) for url, digest in fetched.items()}


def _step_detail(result: StepResult, answer: Answer | None, commits: dict[str, str]) -> dict[str, object]:
    step = result.step
    detail: dict[str, object] = {
        "text": step.text,
        "file": step.place.file,
        "line": step.place.line,
        "kind": "test" if step.test else type(step.action).__name__,
        "key": result.key,
        "tree": result.tree,
        "output": result.output,
        "seconds": round(result.seconds, 3),
        "owners_kept": result.owners_kept,
    }
    takes = _taken(step.action)
    if takes:
        detail["takes"] = takes
    if isinstance(step.action, FetchFile) and commits.get(step.action.url):
        detail["commit"] = [step.action.url, commits[step.action.url]]
    if answer is not None:
        action = step.action
        assert isinstance(action, InstallPackages)
        detail["packages"] = [
            [action.manager, package.name, package.version, package.hash] for package in answer.packages
        ]
    return detail


def _taken(action: Action) -> list[str]:
    """Return the paths of what an action takes of the recipe's folder, as places are named."""
    match action:
        case CopyIn(origin=None, sources=sources, folder=folder):
            paths = list(sources)
        case Render(template=template, folder=folder):
            paths = [template]
        case Execute(mounts=named, folder=folder):
            paths = [source for source, _ in named]
        case InstallPackages(files=named, folder=folder):
            paths = [path for _, path in named]
        case _:
            return []
    return [os.path.normpath(os.path.join(folder, path)) for path in paths]


def _base_image(at: StageProgress) -> dict[str, str]:
    """Return which image a stage on a recipe stands on: others may have the same tree. That of an image is its
    origin."""
    base = at.base
    if not isinstance(at.stage.base, RecipeBase):
        return {}
    return {"image": image_config.image_digest(base.tree, base.facts)}


def _publish(job: BuildJob, recipe: PlannedRecipe, made: dict[str, Lock]) -> BuildResult:
    store, reporter, target = job.store, job.reporter, job.progress[recipe.target]
    top = recipe is job.graph.top
    image = made[recipe.lock_path].image
    known = store.images.get(image)
    ran = any(not result.cached for stage in recipe.stages for result in job.progress[stage].all_results)
    if known is None or ran or (known.tree, known.facts) != (target.tree, image_config.dump(target.facts)):
        from envbuild.build.source_tree import sources_of  # only where an image is put on record

        sources = sources_of(job, recipe, {path: lock_file.dump(lock) for path, lock in made.items()})
        store.images.put(image_of(job, recipe, sources))
    if recipe.lock is None:
        from envbuild.build.first_build import tell_first  # there is only one first build

        tell_first(job, recipe)
    place = place_of(os.path.dirname(recipe.path))
    tags = _move_tags(job, recipe, image, place)
    _note_use(job, recipe)
    store.images.succeed(place.own(recipe.recipe.name))
    others = _publish_others(job, recipe, made, place)
    state = "none"
    if not (top and (job.request.stage is not None or job.request.settings)):
        state = write_lock(job, recipe, made[recipe.lock_path])
    if any(job.progress[stage].answers for stage in recipe.stages):
        from envbuild.build.partial_lock import forget  # only where packages are declared

        forget(store, recipe.path)
    if top:
        reporter.emit(
            BuildFinished(
                recipe.recipe.name,
                image,
                tags,
                target.tree,
                time.monotonic() - reporter.started,
                reporter.ran,
                reporter.cached,
                recipe.lock_path,
                state,
                others,
            )
        )
    return BuildResult(image, target.tree, tags, reporter.ran, reporter.cached)


def _publish_others(job: BuildJob, recipe: PlannedRecipe, made: dict[str, Lock], place: Place) -> Pairs:
    """Record the images that a recipe names beside its own, and move their tags; return (names, digest) of each."""
    if recipe is job.graph.top and job.request.tag is not None:
        return ()  # that name is for one image
    images = []
    for name, stage in recipe.others:
        at = job.progress[stage]
        digest = image_config.image_digest(at.tree, at.facts)
        if job.store.images.get(digest) is None or any(not result.cached for result in at.all_results):
            from envbuild.build.source_tree import sources_of  # only where an image is put on record

            sources = sources_of(job, recipe, {path: lock_file.dump(lock) for path, lock in made.items()})
            sources = {**sources, "stage": stage.name} if sources else {}
            job.store.images.put(image_of(job, recipe, sources, stage))
        names = [(place.own(name), tag) for tag in (LATEST, place.branch) if tag]
        images.append((", ".join(_move(job, recipe, digest, place, names)), digest))
    return tuple(images)


def _provenance(job: BuildJob, recipe: PlannedRecipe) -> dict[str, Any]:
    """Return where in git's history the recipe stands; tell of files that only git's filters could say that of."""
    from envbuild.git.provenance import provenance  # where a tag moves

    needed = job.graph.needed_by(recipe)
    folders = [context.folder for other in needed for context in job.sources.contexts(other)]
    read = [path for other in needed for path in job.sources.files_read(other)]
    position = provenance(recipe.path, read, folders)
    if position.converted:
        from envbuild.text.enumeration import first_of

        paths = first_of([path for path, _ in position.converted], 3)
        text = f"{paths} may be as committed: git's own conversions ({position.converted[0][1]}) are not run"
        job.reporter.emit(Notice("note", text, "the build is on record as made from changed files"))
    return position.known


def _note_use(job: BuildJob, recipe: PlannedRecipe) -> None:
    """Note that the steps were used, once an hour for each recipe: a build with nothing to do has no time to write."""
    store, now = job.store, time.time()
    path = os.path.abspath(recipe.path)
    before = store.memo.get(USED, path)
    if store.database.read_only or (before is not None and float(before) > now - USE_NOTED_EVERY):
        return
    store.steps.touch([result.key for stage in recipe.stages for result in job.progress[stage].all_results])
    store.memo.put(USED, path, str(now).encode())


def _move_tags(job: BuildJob, recipe: PlannedRecipe, image: str, place: Place) -> tuple[str, ...]:
    """Have the recipe's tags name the image; return them, as the current directory has them."""
    request = job.request
    top = recipe is job.graph.top
    if top and request.stage is not None and request.tag is None:
        return ()
    if top and request.tag is not None:
        set_in, names = to_set(job.store, request.tag, os.path.dirname(recipe.path))
        return _move(job, recipe, image, place, names, set_in)
    return _move(
        job, recipe, image, place, [(place.own(recipe.recipe.name), tag) for tag in (LATEST, place.branch) if tag]
    )


def _move(
    job: BuildJob, recipe: PlannedRecipe, image: str, place: Place, names: list[Name], set_in: Place | None = None
) -> tuple[str, ...]:
    """Have names, which belong to the place `set_in` or else to `place`, name an image; return them, as the current
    directory has them."""
    request, tags, reporter = job.request, job.store.tags, job.reporter
    top = recipe is job.graph.top
    here = place.id if os.path.dirname(recipe.path) in ("", ".") or place.project is None else place_of(".").id
    place = set_in or place
    moving = []
    for name, tag in names:
        was = tags.get(name, tag)
        if was is None or was.image != image or (request.immutable and top and not was.immutable):
            moving.append((name, tag))
    if moving:
        known = {
            "user": request.user(),
            "recipe": recipe.path,
            "seconds": round(time.monotonic() - reporter.started, 3),
            "ran": reporter.ran,
            "cached": reporter.cached,
            **_provenance(job, recipe),
        }
        if place.project is not None:
            job.store.projects.add(place.project)
        tags.move(moving, image, BUILD, known, immutable=request.immutable and top)
    return tuple(job.store.projects.shown(f"{name}:{tag}", here) for name, tag in names)
