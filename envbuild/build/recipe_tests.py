"""The tests that an image's recipe has, to be run on a tree that no build of that recipe made.

They are planned anew on the facts of that tree, so that they find the variables, user and directory of the image that
they run in. Of an image that was made elsewhere only the texts of its tests are on record: those that need nothing but
the tree are run.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from envbuild.build.graph import Graph, Stage
from envbuild.build.inputs import Gatherer, known_file
from envbuild.build.loader import load_graph
from envbuild.build.lock_status import image_in_commit
from envbuild.build.progress import NotKnownYet, Progress
from envbuild.build.recipe_files import project_of
from envbuild.build.request import BuildRequest
from envbuild.build.source_tree import check_out
from envbuild.build.sources import Sources
from envbuild.build.tree_checks import Check, check_of
from envbuild.errors import EnvbuildError
from envbuild.language import model
from envbuild.language.one_line import one_line
from envbuild.plan.image_config import Facts
from envbuild.plan.planner import plan_stage
from envbuild.plan.step import Execute, Step
from envbuild.record import Pairs, Record
from envbuild.store.images import Image
from envbuild.store.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_TESTS, MAX_SECONDS = 64, 60.0
"""Tests of one image that are run without its recipe, and the time of each: its record may be somebody else's."""


class RecipeTests(Record):
    """The tests of an image. Of each in `left_out` it says why it can't be run: (test, reason)."""

    checks: tuple[Check, ...] = ()
    left_out: Pairs = ()


def recipe_tests(store: Store, path: str, facts: Facts, project: str = "", settings: Pairs = ()) -> RecipeTests:
    """Return the tests of the recipe at `path` for a tree with these facts; `project` and `settings` are as a build's
    request has them. Raises the errors of a build that can't begin: RecipeErrors, UnreadableFile, BadLock."""
    request = BuildRequest(path=path, settings=settings)
    files_of = project or project_of(path)
    graph = load_graph(request, store, files_of)
    return _planned(store, graph, graph.top.target, facts, files_of, alone=False)


@contextmanager
def image_tests(store: Store, image: Image, facts: Facts) -> Iterator[RecipeTests]:
    """Yield the tests of the recipe that made an image, for a tree with these facts. What they take of the recipe's
    folder is there meanwhile."""
    sources = image.known.get("sources", {})
    has_sources = {"tree", "recipe", "locks"} <= sources.keys() and store.trees.has(sources["tree"])
    with tempfile.TemporaryDirectory(prefix="envbuild-tests-") as folder:
        root = os.path.realpath(folder)
        yield _of_sources(store, sources, facts, root) if has_sources else _of_record(store, image, facts, root)


def _of_sources(store: Store, sources: dict[str, Any], facts: Facts, root: str) -> RecipeTests:
    """Return the tests of the recipe that was kept beside an image. What is kept may not be what the record says."""
    try:
        check_out(store, sources, root)
        settings = tuple(sources.get("settings", {}).items())
        return recipe_tests(store, f"{root}/{sources['recipe']}", facts, root, settings)
    except (EnvbuildError, OSError) as error:
        reason = error.message.splitlines()[0] if isinstance(error, EnvbuildError) else str(error.strerror)
        return RecipeTests(left_out=(("the tests of its recipe", reason.replace(f"{root}/", "")),))


def _of_record(store: Store, image: Image, facts: Facts, root: str) -> RecipeTests:
    """Return the tests that an image's record has the texts of. Each is read alone, so that a text that is none spoils
    no other."""
    stages = image.known.get("stages", [])
    steps = stages[-1]["steps"] if stages else []
    texts = [step["text"] for step in steps if step["kind"] == "test"][:MAX_TESTS]
    checks: list[Check] = []
    left_out: list[tuple[str, str]] = []
    for number, text in enumerate(texts):
        path = f"{root}/{number}.env"
        with open(path, "x", encoding="utf-8", errors="replace") as file:
            file.write(f"from scratch\n{text}\n")
        try:
            graph = load_graph(BuildRequest(path=path), store, root)
            tests = _planned(store, graph, graph.top.target, facts, root, alone=True)
        except EnvbuildError as error:
            left_out.append((one_line(text), error.message.splitlines()[0].replace(f"{root}/", "")))
            continue
        checks += tests.checks
        left_out += tests.left_out
    return RecipeTests(tuple(checks), tuple(left_out))


def _planned(store: Store, graph: Graph, stage: Stage, facts: Facts, project: str, *, alone: bool) -> RecipeTests:
    """Return the tests of a stage; those of one `alone` are told what they can't have without their recipe."""
    kept = tuple(item for item in stage.written.statements if isinstance(item, (model.Test, model.Shell)))
    plan = plan_stage(stage.written.replace(statements=kept), facts, stage.siblings)
    sources = Sources(store, project, image_in_commit, pinned=True)
    inputs = Gatherer(store, graph, sources, Progress(graph).ended, known_file)
    checks: list[Check] = []
    left_out: list[tuple[str, str]] = []
    for step in plan.tests:
        if alone and (reason := _needs(step)):
            left_out.append((one_line(step.text), reason))
            continue
        limit = min(step.timeout or MAX_SECONDS, MAX_SECONDS) if alone else step.timeout
        try:
            checks.append(check_of(step.replace(timeout=limit), inputs.gather(stage, step, facts.epoch)))
        except NotKnownYet:
            left_out.append((one_line(step.text), "it mounts something of another stage"))
        except EnvbuildError as error:
            left_out.append((one_line(step.text), error.message.splitlines()[0]))
    return RecipeTests(tuple(checks), tuple(left_out))


def _needs(step: Step) -> str:
    action = step.action
    assert isinstance(action, Execute)
    needed = {
        "a network": action.network,
        "secrets": action.secrets,
        "an SSH agent": action.ssh,
        "devices": action.devices,
        "files beside its recipe": action.mounts or action.shown,
        "a cache": action.caches,
    }
    return ", ".join(f"it needs {what}" for what, value in needed.items() if value)
