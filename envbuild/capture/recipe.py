"""The recipe of a captured machine: the lines that give an equal environment, tried as they are written, and a report
of what they do not say."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable

from envbuild.build.build import build
from envbuild.build.events import Emit
from envbuild.build.request import BuildRequest
from envbuild.capture.machine_rules import LARGE, OWNER, PACKAGE, MachineRules
from envbuild.capture.machine_writer import MachineWriter
from envbuild.capture.recipe_remarks import package_remarks, remarks_of
from envbuild.capture.unknown_paths import UnknownPaths, is_redacted
from envbuild.drift.copied_files import CopiedFiles
from envbuild.drift.ignore_rules import IgnoreRules
from envbuild.drift.recipe_text import move_out, recipe_text, refuse_to_overwrite
from envbuild.drift.recipe_writer import RecipeLines
from envbuild.drift.trial_build import TrialBuild
from envbuild.images.find import facts_of
from envbuild.images.names import place_of
from envbuild.record import Record
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.text.dates import iso
from envbuild.tree.entry import Digest


class RecipeRequest(Record):
    """A recipe to be written for the image of a machine that the user called `name`: to `folder` as STEM.env, from
    `base` (what a recipe has after `from`).

    New files are copied up to `most` bytes, those of a new directory together. With `force` existing files are
    replaced. `build_request` says who asks and what a build needs of the machine."""

    name: str
    base: str
    folder: str
    stem: str
    most: int
    force: bool = False
    build_request: BuildRequest = BuildRequest("")

    @property
    def own_name(self) -> str:
        """The name of the image that the recipe builds: another one than the capture's, which a build must not move."""
        same = self.stem == self.name.partition("@")[0].partition(":")[0]
        return f"{self.stem}-recipe" if same else self.stem


class MachineRecipe(Record):
    """A recipe that was written: its path, its lines, what is said of packages, and the numbers of paths that the
    capture itself lacks. `tree` is what its lines build."""

    name: str
    image: Image
    recipe: str
    base: str
    written: RecipeLines
    packages: tuple[str, ...]
    left_out: int
    unread: int


def build_base(store: Store, base: str, beside: str, request: BuildRequest, emit: Emit) -> None:
    """Build a base alone, so that the store has it: where files have their owners only outside of the user namespace,
    that has to be done there. Names in it mean what they do in the directory `beside`. Raises what a build raises."""
    with tempfile.TemporaryDirectory(prefix=".envbuild-base-", dir=beside) as folder:
        path = os.path.join(folder, "base.env")
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"from {base}\n")
        build(request.replace(path=path, publish=False), store, emit)


def write_recipe(
    store: Store,
    image: Image,
    request: RecipeRequest,
    report: Callable[[str], None],
    emit: Emit,
    may_fetch: Callable[[list[str]], bool],
    may_write: Callable[[CopiedFiles], bool],
) -> MachineRecipe:
    """Write the recipe and return what it says. `may_fetch` is called with the lines that would fetch something before
    they are tried; it may raise UsageError. `may_write` is called before large files are written beside the recipe.

    An error before the recipe is complete leaves no file. The process must be root of the namespace and have one
    thread. Raises UsageError and WorkFailed kinds, BadCaptureRecord among them.
    """
    if not request.force:
        refuse_to_overwrite(request.folder, request.stem)
    try:
        return _write(store, image, request, report, emit, may_fetch, may_write)
    finally:
        # A line that failed in a trial is not a failed build that `shell --failed` should open.
        store.images.succeed(place_of(request.folder).own(request.own_name))


def _write(
    store: Store,
    image: Image,
    request: RecipeRequest,
    report: Callable[[str], None],
    emit: Emit,
    may_fetch: Callable[[list[str]], bool],
    may_write: Callable[[CopiedFiles], bool],
) -> MachineRecipe:
    unknown = UnknownPaths(store, image.tree)
    rules = MachineRules(
        store,
        IgnoreRules(),
        most=request.most,
        is_unknown=lambda path: path in unknown,
        is_redacted=lambda path, entry: is_redacted(store, entry),
    )
    first = f"recipe {request.own_name}\nfrom {request.base}"
    with tempfile.TemporaryDirectory(prefix=".envbuild-recipe-", dir=request.folder) as stage:
        trial = TrialBuild(store, first, stage, request.stem, request.build_request, emit, may_write)
        base: Digest = trial.tree([])
        facts = facts_of(image)
        writer = MachineWriter(request.base, store, base, image.tree, facts, request.stem, rules, report, may_fetch)
        written = writer.write(trial)
        packages = (*package_remarks(rules.packages), *writer.remarks)
        shown = tuple(path for path in written.unexpressed if path.kind not in (PACKAGE, LARGE, OWNER))
        remarks = remarks_of(written, packages, unknown, request.stem)
        text = recipe_text(_head(request), first, written.lines, shown, written.dropped, remarks)
        with open(os.path.join(stage, f"{request.stem}.env"), "w", encoding="utf-8") as file:
            file.write(text)
        move_out(stage, request.folder, request.stem)
    path = os.path.normpath(os.path.join(request.folder, f"{request.stem}.env"))
    return MachineRecipe(
        request.name,
        image,
        path,
        request.base,
        written,
        packages,
        len(unknown.left_out),
        len(unknown.unread),
    )


def _head(request: RecipeRequest) -> list[str]:
    day = iso(time.time()).partition("T")[0]
    return [
        f"{request.stem}.env - an environment like the machine of the capture {request.name}",
        f"Written by `envbuild recipe {request.name}` on {day}.",
        f"Compare them: envbuild build {request.stem}.env && envbuild diff {request.name} {request.own_name}",
    ]
