"""The check before the first step runs: whether what the steps take from elsewhere is there, as far as it can be told.

It stops a build at once which would stop after half an hour. What it lets pass is looked at again, and read, when it is
the step's turn.
"""

from __future__ import annotations

from envbuild.build.fetch import ask, has_content
from envbuild.build.file_sources import FileSources
from envbuild.build.graph import Stage
from envbuild.build.inputs import Gatherer, known_file
from envbuild.build.job import BuildJob
from envbuild.build.progress import NotKnownYet
from envbuild.build.step_place import point_at_step
from envbuild.errors import UsageError, WorkFailed
from envbuild.language.base_kinds import RecipeBase, StageBase
from envbuild.plan.image_config import Facts
from envbuild.plan.planner import plan_stage
from envbuild.plan.step import CopyIn, Execute, FetchFile, InstallPackages, Render, Step
from envbuild.store.step_cache import ContentChanged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def check_inputs(job: BuildJob, stages: Sequence[Stage], files: FileSources) -> None:
    """Look for what the steps that are left of these stages take from elsewhere.

    Files of the recipe's folder are not hashed, and files of the network not fetched. What lies in a stage that is not
    at its end is not known yet. Raises the error of the first step that lacks something, UsageError or WorkFailed.
    """
    inputs = Gatherer(job.store, job.graph, job.sources, job.progress.ended, known_file)
    for stage, step, is_next in _steps_left(job, stages):
        try:
            match step.action:
                case CopyIn(origin=None) as action:
                    context = job.sources.context(job.graph.recipe_of(stage), action.folder)
                    for source in action.sources:
                        paths = context.check(source, optional=action.optional)
                        if action.unpack:
                            _check_archives(paths)
                case CopyIn() | Render() | Execute():
                    inputs.gather(stage, step, 0)
                case InstallPackages() as action:
                    inputs.contents(stage, action)
                case FetchFile() as action if not is_next:
                    _check_address(job, stage, action, files)
        except (NotKnownYet, ContentChanged):
            continue
        except (UsageError, WorkFailed) as error:
            point_at_step(error, step)
            raise


def _steps_left(job: BuildJob, stages: Sequence[Stage]) -> Iterator[tuple[Stage, Step, bool]]:
    """Yield the steps that have no result yet, each with its stage and whether it is the stage's next one."""
    facts: dict[int, Facts] = {}
    for stage in stages:
        at = job.progress.get(stage)
        if at is not None:
            plan, first = at.plan, at.next_number
        else:
            below = stage.needs[0] if isinstance(stage.base, (StageBase, RecipeBase)) else None
            # A base that is made here brings no facts that a statement could refer to.
            known = Facts("", 0) if below is None else facts.get(below) or job.progress.ended(below).facts
            plan, first = plan_stage(stage.written, known, stage.siblings), 0
        facts[stage.number] = plan.facts
        for number, step in enumerate((*plan.steps, *plan.tests)):
            if number >= first:
                yield stage, step, at is not None and number == first


def _check_archives(paths: dict[str, str]) -> None:
    """Raise ArchiveError or NotAnArchive for a file, called by its name, that does not begin as an archive."""
    from envbuild.build.unpack import check_archive  # archives, only where one is unpacked

    for name, path in paths.items():
        check_archive(path, name)


def _check_address(job: BuildJob, stage: Stage, action: FetchFile, files: FileSources) -> None:
    expected = action.sha256 or job.sources.pinned_file(job.graph.recipe_of(stage), action.url)
    # A place of the team may have it, wherever it came from.
    known = expected is not None and (files.places is not None or has_content(job.store, expected))
    if known or files.offline:
        return
    from envbuild.language.git_address import is_git

    if is_git(action.url):
        from envbuild.build.fetch_git import ask_git  # git, only where a commit is fetched

        ask_git(job.store, action.url, job.sources.pinned_commit(job.graph.recipe_of(stage), action.url))
    else:
        ask(action.url)
