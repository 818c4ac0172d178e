"""The commit of an instance: it becomes an image, and the changes made by hand become lines of a recipe."""

from __future__ import annotations

import errno
import json
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from envbuild.build.events import Emit
from envbuild.build.request import BuildRequest
from envbuild.drift.base_line import BaseLine, base_line
from envbuild.drift.copied_files import CopiedFiles
from envbuild.drift.ignore_rules import IgnoreRules
from envbuild.drift.instance_operand import ImageOfInstanceGone
from envbuild.drift.instance_tree import tree_of
from envbuild.drift.recipe_text import head_of, move_out, recipe_text, refuse_to_overwrite
from envbuild.drift.recipe_writer import RecipeLines, Writer
from envbuild.drift.secret_detection import looks_secret
from envbuild.drift.trial_build import TrialBuild
from envbuild.drift.unexpressed import ExpressionRules
from envbuild.errors import DISK_TROUBLE, UsageError, fields
from envbuild.history.compare import compare
from envbuild.history.operand import operand_of_image
from envbuild.images.find import facts_of
from envbuild.images.names import kept_name, place_of
from envbuild.instances.records import Instance
from envbuild.plan.image_config import image_digest
from envbuild.record import Record
from envbuild.store.images import Image
from envbuild.store.project import Project
from envbuild.store.store import Store
from envbuild.store.tags import COMMIT
from envbuild.tree.apply import apply
from envbuild.tree.diff import Change, aspects, diff, expanded
from envbuild.tree.entry import EMPTY_CONTENT, Digest


class CommitRequest(Record):
    """An `envbuild commit`: the tag that will name the image, of `project` (None outside of all), and the directory for
    the recipe (None for no recipe).
    With `build` its lines are built, with `secrets` secrets are written beside it too, and with `force` existing files
    are replaced. `build_request` says who asks and what a build needs of the machine."""

    name: str
    tag: str
    folder: str | None
    build: bool = True
    force: bool = False
    secrets: bool = False
    build_request: BuildRequest = BuildRequest("")
    project: Project | None = None

    @property
    def kept(self) -> str:
        """NAME as the store keeps it."""
        return kept_name(self.project.id if self.project is not None else "", self.name)

    @property
    def full(self) -> str:
        """NAME:TAG."""
        return f"{self.name}:{self.tag}"

    @property
    def stem(self) -> str:
        """The recipe's name: `NAME-TAG`."""
        return f"{self.name}-{self.tag}"


class CommitResult(Record):
    """The result of a commit. `image` is the image that the tag names now, `base` the one that the instance runs: the
    same if nothing was changed. `written` and `start`, the recipe's first line, are None if no recipe was written.
    `secrets` are paths in the image that look like keys or passwords."""

    instance: Instance
    base: Image
    image: Digest
    tree: Digest
    tag: str
    recipe: str | None
    written: RecipeLines | None
    secrets: tuple[bytes, ...]
    start: BaseLine | None = None


@fields
class NoFolder(UsageError):
    """A missing directory for the recipe."""

    path: str

    def text(self) -> tuple[str, str]:
        return f"there is no directory {self.path}", "create it, or name another with --output"


@fields
class FolderNotWritable(UsageError):
    """A directory that can't take the recipe."""

    path: str
    reason: str

    def text(self) -> tuple[str, str]:
        return f"can't write to {self.path}: {self.reason}", "name another directory with --output"


def commit(
    store: Store,
    instance: Instance,
    request: CommitRequest,
    paused: AbstractContextManager[None],
    report: Callable[[str], None],
    emit: Emit,
    may_fetch: Callable[[list[str]], bool],
    may_write: Callable[[CopiedFiles], bool],
) -> CommitResult:
    """Make an image of the instance as it is now, tag it, and write the recipe. Its files are read within `paused`.
    `may_fetch` is called with the lines that would fetch something before they are tried; it may raise UsageError.
    `may_write` is called before large files are written beside the recipe.

    An error before the recipe is complete leaves neither image nor file. The process must be root of the namespace and
    have one thread. Raises UsageError and WorkFailed kinds.
    """
    base = store.images.get(instance.image)
    if base is None or not store.trees.has(base.tree):
        raise ImageOfInstanceGone(instance, store.projects.shown(instance.reference))
    if request.folder is not None:
        _make_folder(request.folder)
        if not request.force:
            refuse_to_overwrite(request.folder, request.stem)
    try:
        return _commit(store, instance, base, request, paused, report, emit, may_fetch, may_write)
    finally:
        # A line that failed in a trial is not a failed build that `shell --failed` should open.
        if request.folder is not None:
            store.images.succeed(place_of(request.folder).own(request.stem))


def _commit(
    store: Store,
    instance: Instance,
    base: Image,
    request: CommitRequest,
    paused: AbstractContextManager[None],
    report: Callable[[str], None],
    emit: Emit,
    may_fetch: Callable[[list[str]], bool],
    may_write: Callable[[CopiedFiles], bool],
) -> CommitResult:
    facts = facts_of(base)
    with paused:
        target = tree_of(store, instance, epoch=facts.epoch)
    target = with_times_of(store, base.tree, target)
    _refuse_tag(store, base, target, request)
    if target == base.tree or request.folder is None:
        image = _record(store, instance, base, target, request)
        secrets = tuple(_secrets(store, base.tree, target))
        return CommitResult(instance, base, image, target, request.full, None, None, secrets)
    rules = ExpressionRules(store, IgnoreRules(facts.volumes), secrets=request.secrets)
    writer = Writer(store, base.tree, target, facts, request.stem, rules, report, may_fetch)
    with _stage(request.folder) as stage:
        start_line = f"from image:sha256:{base.digest}"
        trial = TrialBuild(store, start_line, stage, request.stem, request.build_request, emit, may_write)
        if request.build:
            written = writer.write(trial)
            assert written.tree is not None
            # Lines set times of their own: the image takes these, so that both are equal.
            target = with_times_of(store, written.tree, target)
        else:
            before = operand_of_image(store, "", base)
            written = writer.write_untried(compare(store, before, before.replace(tree=target, image="")))
            trial.write_files(written.plan.files)
        head = head_of(f"{request.stem}.env", instance.name, request.full, time.time())
        if not request.build:
            head.append("Its lines were not built when they were written (--no-build).")
        place = os.path.join(request.folder, f"{request.stem}.env")
        reference = store.projects.shown(instance.reference)
        start = base_line(store, base, reference, place, request.build_request.epoch)
        text = recipe_text((*head, *start.remarks), start.text, written.lines, written.unexpressed, written.dropped)
        with open(os.path.join(stage, f"{request.stem}.env"), "w", encoding="utf-8") as file:
            file.write(text)
        image = _record(store, instance, base, target, request)
        move_out(stage, request.folder, request.stem)
    recipe = os.path.normpath(os.path.join(request.folder, f"{request.stem}.env"))
    secrets = tuple(_secrets(store, base.tree, target))
    return CommitResult(instance, base, image, target, request.full, recipe, written, secrets, start)


def _make_folder(folder: str) -> None:
    """Make the directory for the recipe unless it is there. Raises NoFolder and FolderNotWritable."""
    try:
        os.makedirs(folder, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise NoFolder(folder) from None
    except OSError as error:
        raise FolderNotWritable(folder, str(error.strerror)) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise FolderNotWritable(folder, "permission denied or a read-only file system")
    # Whoever is root of a namespace, or of the machine, may write here; but its owner did not want that.
    if not os.stat(folder).st_mode & 0o200:
        raise FolderNotWritable(folder, "its owner made it read-only")


def _stage(folder: str) -> tempfile.TemporaryDirectory[str]:
    try:
        return tempfile.TemporaryDirectory(prefix=".envbuild-commit-", dir=folder)
    except OSError as error:
        if error.errno in DISK_TROUBLE and error.errno != errno.EROFS:
            raise
        raise FolderNotWritable(folder, str(error.strerror)) from None


def with_times_of(store: Store, source: Digest, tree: Digest) -> Digest:
    """Return `tree` with the times of `source` for all paths that differ only in their times."""
    trees = store.trees
    changes = [
        Change(change.path, change.after, change.before)
        for change in diff(trees, source, tree)
        if aspects(change) == ("time",)
    ]
    return apply(trees, changes, tree) if changes else tree


def _refuse_tag(store: Store, base: Image, tree: Digest, request: CommitRequest) -> None:
    """Raise TagRefuses if the tag never moves and can't be this commit's: before lines are tried, which can only give
    the files other times."""
    current = store.tags.get(request.kept, request.tag)
    known = store.images.get(current.image) if current is not None and current.immutable else None
    if known is not None and (known.facts != base.facts or with_times_of(store, known.tree, tree) != known.tree):
        store.tags.refuse_if_immutable(request.kept, request.tag, image_digest(tree, facts_of(base)))


def _record(store: Store, instance: Instance, base: Image, tree: Digest, request: CommitRequest) -> Digest:
    """Record the image, move the tag to it, and return its digest. Raises TagRefuses."""
    facts = facts_of(base)
    digest = image_digest(tree, facts)
    store.tags.refuse_if_immutable(request.kept, request.tag, digest)
    if store.images.get(digest) is None:
        store.images.put(
            Image(digest, tree, base.facts, _detail(store, instance, base, tree, request.name), time.time())
        )
    known = {"user": request.build_request.user(), "instance": instance.name, "from": base.digest}
    if request.project is not None:
        store.projects.add(request.project)
    store.tags.move([(request.kept, request.tag)], digest, COMMIT, known)
    return digest


def _detail(store: Store, instance: Instance, base: Image, tree: Digest, name: str) -> str:
    """Return the detail of an image that no build made: one stage with one step, the instance."""
    step = {
        "text": f"commit of the instance {instance.name}",
        "file": "",
        "line": 0,
        "kind": "Commit",
        "key": "",
        "tree": tree,
        "output": EMPTY_CONTENT,
        "seconds": 0,
        "owners_kept": True,
    }
    stage = {
        "stage": name,
        "base": f"image:{store.projects.shown(instance.reference)}",
        "origin": f"image sha256:{base.digest}",
        "tree": base.tree,
        "steps": [step],
    }
    detail = {
        "recipe": name,
        "path": "",
        "parameters": {},
        "stages": [stage],
        "commit": {"instance": instance.name, "image": base.digest},
    }
    return json.dumps(detail, sort_keys=True, separators=(",", ":"))


def _secrets(store: Store, base: Digest, target: Digest) -> list[bytes]:
    changes = expanded(store.trees, diff(store.trees, base, target))
    return [c.path for c in changes if c.after is not None and looks_secret(store, c.path, c.after)]
