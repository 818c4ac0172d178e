"""An instance becomes an image, and what was changed in it by hand becomes lines of a recipe."""

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
from envbuild.drift.ignore_rules import Noise
from envbuild.drift.instance_operand import ImageOfInstanceGone
from envbuild.drift.instance_tree import tree_of
from envbuild.drift.recipe_text import head_of, move_out, recipe_text, refuse_to_overwrite
from envbuild.drift.recipe_writer import Writer, Written
from envbuild.drift.secret_detection import looks_secret
from envbuild.drift.trial_build import Builder
from envbuild.drift.unexpressed import Teller
from envbuild.errors import DISK_TROUBLE, UsageError
from envbuild.history.compare import compare
from envbuild.history.operand import side_of_image
from envbuild.images.image_facts import facts_of
from envbuild.instances.records import Instance
from envbuild.plan.image_config import image_digest
from envbuild.record import Record
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.store.tags import COMMIT
from envbuild.tree.apply import apply
from envbuild.tree.diff import Change, aspects, diff, expanded
from envbuild.tree.entry import EMPTY_CONTENT, Digest


class CommitRequest(Record):
    """One `envbuild commit`: the tag that will name the image, and, unless None, the folder that the recipe is written
    to. With `build` its lines are built; `secrets` are written beside it, too; with `force` it replaces what is there.
    `how` says who asks and what a build needs of the machine."""

    name: str
    tag: str
    folder: str | None
    build: bool = True
    force: bool = False
    secrets: bool = False
    how: BuildRequest = BuildRequest("")

    @property
    def full(self) -> str:
        """NAME:TAG."""
        return f"{self.name}:{self.tag}"

    @property
    def stem(self) -> str:
        """What the recipe is called: `NAME-TAG`."""
        return f"{self.name}-{self.tag}"


class Committed(Record):
    """What came of it. `image` is what the tag names now, `base` the image that the instance runs: the same if nothing
    was changed. `written` is None where no recipe was. `secrets` are paths in the image that look like keys or
    passwords."""

    instance: Instance
    base: Image
    image: Digest
    tree: Digest
    tag: str
    recipe: str | None
    written: Written | None
    secrets: tuple[bytes, ...]


class NoFolder(UsageError):
    """The folder for the recipe is not there."""

    def __init__(self, path: str) -> None:
        super().__init__(f"there is no folder {path}", "make it, or name another with --output")


def commit(
    store: Store,
    instance: Instance,
    request: CommitRequest,
    still: AbstractContextManager[None],
    say: Callable[[str], None],
    emit: Emit,
    may_fetch: Callable[[list[str]], bool],
) -> Committed:
    """Makes an image of what the instance has now, tags it, and writes the recipe. Its files are read within `still`.
    `may_fetch` is asked before the trial of lines fetches anything, with these lines; it may raise UsageError.

    Whatever goes wrong before the recipe is whole leaves neither image nor file. The process has to be root of the
    namespace and to have one thread. Raises UsageError and WorkFailed kinds.
    """
    base = store.images.get(instance.image)
    if base is None or not store.trees.has(base.tree):
        raise ImageOfInstanceGone(instance)
    if request.folder is not None:
        if not os.path.isdir(request.folder):
            raise NoFolder(request.folder)
        if not request.force:
            refuse_to_overwrite(request.folder, request.stem)
    try:
        return _commit(store, instance, base, request, still, say, emit, may_fetch)
    finally:
        # A line that was tried in vain is no failed build, for `shell --failed` to open.
        store.images.succeed(request.stem)


def _commit(
    store: Store,
    instance: Instance,
    base: Image,
    request: CommitRequest,
    still: AbstractContextManager[None],
    say: Callable[[str], None],
    emit: Emit,
    may_fetch: Callable[[list[str]], bool],
) -> Committed:
    facts = facts_of(base)
    with still:
        target = tree_of(store, instance, epoch=facts.epoch)
    target = with_times_of(store, base.tree, target)
    if target == base.tree or request.folder is None:
        image = _record(store, instance, base, target, request)
        secrets = tuple(_secrets(store, base.tree, target))
        return Committed(instance, base, image, target, request.full, None, None, secrets)
    teller = Teller(store, Noise(facts.volumes), secrets=request.secrets)
    writer = Writer(store, base.tree, target, facts, request.stem, teller, say, may_fetch)
    with _stage(request.folder) as stage:
        builder = Builder(store, base.digest, stage, request.stem, request.how, emit)
        if request.build:
            written = writer.write(builder)
            assert written.tree is not None
            # Lines give what they bring a time of their own: the image has these, so that the two are equal.
            target = with_times_of(store, written.tree, target)
        else:
            sides = side_of_image(store, "", base), side_of_image(store, "", base).replace(tree=target, image="")
            written = writer.write_untried(compare(store, *sides))
            builder.lay_out(written.plan.files)
        head = head_of(f"{request.stem}.env", instance.name, instance.reference, request.full, time.time())
        if not request.build:
            head.append("Its lines were not built when they were written (--no-build).")
        text = recipe_text(head, base.digest, written.lines, written.told, written.dropped)
        with open(os.path.join(stage, f"{request.stem}.env"), "w", encoding="utf-8") as file:
            file.write(text)
        image = _record(store, instance, base, target, request)
        move_out(stage, request.folder, request.stem)
    recipe = os.path.normpath(os.path.join(request.folder, f"{request.stem}.env"))
    secrets = tuple(_secrets(store, base.tree, target))
    return Committed(instance, base, image, target, request.full, recipe, written, secrets)


def _stage(folder: str) -> tempfile.TemporaryDirectory[str]:
    try:
        return tempfile.TemporaryDirectory(prefix=".envbuild-commit-", dir=folder)
    except OSError as error:
        if error.errno in DISK_TROUBLE and error.errno != errno.EROFS:
            raise
        raise UsageError(
            f"nothing can be written to {folder}: {error.strerror}", "name another folder: --output"
        ) from None


def with_times_of(store: Store, tree: Digest, other: Digest) -> Digest:
    """`other`, where each path that differs from `tree` in its time alone has the time that it has there."""
    trees = store.trees
    changes = [
        Change(change.path, change.after, change.before)
        for change in diff(trees, tree, other)
        if aspects(change) == ("time",)
    ]
    return apply(trees, changes, other) if changes else other


def _record(store: Store, instance: Instance, base: Image, tree: Digest, request: CommitRequest) -> Digest:
    """Puts the image on record, has the tag name it, and returns its digest. Raises TagRefuses."""
    facts = facts_of(base)
    digest = image_digest(tree, facts)
    store.tags.refuse_if_immutable(request.name, request.tag, digest)
    if store.images.get(digest) is None:
        store.images.put(Image(digest, tree, base.facts, _detail(instance, base, tree, request.name), time.time()))
    known = {"user": request.how.user, "instance": instance.name, "from": base.digest}
    store.tags.move([(request.name, request.tag)], digest, COMMIT, known)
    return digest


def _detail(instance: Instance, base: Image, tree: Digest, name: str) -> str:
    """The detail of an image that no build made: one stage with one step, the instance."""
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
        "base": f"image:{instance.reference}",
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
    return [one.path for one in changes if one.after is not None and looks_secret(store, one.path, one.after)]
