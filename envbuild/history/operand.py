"""The operands of a comparison: everything that a user may name there, and what is known of it."""

from __future__ import annotations

import os
from collections.abc import Callable

from envbuild.build.named_image import find_image
from envbuild.build.recipe_cache import load
from envbuild.build.recipe_files import UnreadableFile, lock_text, project_of, read_recipe
from envbuild.errors import UsageError, fields
from envbuild.images.find import InCommit, facts_of
from envbuild.images.lock_attestation import Texts, attested_image, kept_recipe
from envbuild.images.names import repository_of
from envbuild.images.reference import GIT, FileReference, RevisionReference, parse
from envbuild.lockfile.lock import Lock, commit_id, first_line
from envbuild.plan.image_config import to_plain
from envbuild.record import Pairs, Record
from envbuild.store.images import Image
from envbuild.store.network_record import NetworkRecord, records_of
from envbuild.store.store import Store
from envbuild.tree.entry import Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from envbuild.git.lock_at_revision import LockedRecipe


@fields
class NoSuchFile(UsageError):
    """A recipe or a lock was named that is not there."""

    path: str

    def text(self) -> tuple[str, str]:
        return f"there is no file {self.path}", "name a recipe, a lock, or an image: envbuild images"


class Statement(Record):
    """A statement of an operand: its stage, its text (of a lock only the first line) and its place, if known. A lock
    has no tests (`test`)."""

    stage: str
    text: str
    place: str = ""
    test: bool = False


class Declared(Record):
    """A package in a lock: its manager (apt, pip, npm), its name there and its version."""

    manager: str
    name: str
    version: str


class Operand(Record):
    """An environment that the user named as `label`. `tree` and `facts` (as `show` has them) are None if the store does
    not have the image and only its lock is known. `image` is "" for an instance, and for a merged lock, whose image
    nobody knows before a build. `network` is what its steps asked, as far as a lock or this store has it. `commits` are
    those of git repositories that it fetched, by address."""

    label: str
    image: Digest
    tree: Digest | None
    facts: dict[str, Any] | None
    statements: tuple[Statement, ...]
    packages: tuple[Declared, ...]
    size: int | None = None
    recipe: Texts = ()
    network: tuple[NetworkRecord, ...] = ()
    commits: Pairs = ()


@fields
class NothingToCompare(UsageError):
    """A recipe that names no image: it has neither a build nor a lock."""

    path: str

    def text(self) -> tuple[str, str]:
        return f"{self.path} is not built and has no lock", f"build it: envbuild build {self.path}"


def operand_of(
    store: Store,
    text: str,
    built: Callable[[str], Image | None],
    running: Callable[[str], Operand | None] = lambda text: None,
    folder: str = ".",
) -> Operand:
    """Return the operand that `text` names: an image in any form, a recipe, `git:REV:FILE`, a lock, or an instance.

    `running` returns the operand of an instance with this name; it is called before images are looked up.

    A recipe means what it would build now: `built` returns that image if the store has all of it. If not, the lock is
    compared. Raises UsageError kinds.
    """
    if text.startswith(GIT):
        from envbuild.git.lock_at_revision import locked_at  # git and yaml: only if needed

        file = parse(text)
        assert isinstance(file, FileReference)
        return _of_revision(store, text, locked_at(folder, file.revision, file.path), folder)
    path = os.path.join(folder, text)
    if text.endswith(".lock") and os.path.isfile(path):
        return operand_of_lock(store, text, _read_lock(store, path))
    if text.endswith((".lock", ".env")) and not os.path.isfile(path):
        raise NoSuchFile(text)
    if os.path.isfile(path) and (text.endswith(".env") or "/" in text):
        image = built(path)
        if image is not None:
            return operand_of_image(store, text, image).replace(recipe=_recipe_at(store, path))
        if not os.path.isfile(f"{path}.lock"):
            raise NothingToCompare(text)
        return operand_of_lock(store, f"{text}.lock", _read_lock(store, f"{path}.lock"))
    reference = parse(text)
    if isinstance(reference, RevisionReference):
        from envbuild.git.lock_at_revision import locked_by_name

        where = repository_of(store, reference, folder)
        return _of_revision(store, text, locked_by_name(where, reference.revision, reference.name), where)
    instance = running(text)
    if instance is not None:
        return instance
    return operand_of_image(store, text, find_image(store, text, folder))


def operand_of_image(store: Store, label: str, image: Image, lock: Lock | None = None) -> Operand:
    """Return the operand of an image in the store, of whose steps `lock` says what they asked of the network."""
    detail = image.known
    statements, packages = [], []
    for stage in detail.get("stages", []):
        statements.append(Statement(stage["stage"], f"from {stage['base']}  # {stage['origin']}"))
        for step in stage["steps"]:
            place = f"{step['file']}:{step['line']}"
            statements.append(Statement(stage["stage"], step["text"], place, step["kind"] == "test"))
            packages += [Declared(*package[:3]) for package in step.get("packages", [])]
    steps = [step for stage in detail.get("stages", []) for step in stage["steps"]]
    commits = tuple((url, commit) for url, commit in (step["commit"] for step in steps if "commit" in step))
    facts = to_plain(facts_of(image))
    recipe = kept_recipe(store, image)
    network = records_of(store.database, detail)
    if lock is not None and lock.results.network:
        network = _with_lock(network, detail, lock)
    return Operand(
        label,
        image.digest,
        image.tree,
        facts,
        tuple(statements),
        tuple(packages),
        recipe=recipe,
        network=tuple(network.values()),
        commits=commits,
    )


def _with_lock(own: dict[str, NetworkRecord], detail: dict[str, Any], lock: Lock) -> dict[str, NetworkRecord]:
    """Return what the steps of an image asked by what this store and a lock say. Where both know an answer it is the
    lock's, so that two people who compare two commits see the same."""
    from envbuild.lockfile.network_lines import joined  # only where a step has a network

    records = dict(own)
    for key in (step["key"] for stage in detail.get("stages", []) for step in stage["steps"]):
        kept = lock.results.network.get(key)
        if kept is not None:
            records[key] = joined(kept, own.get(key, kept))
    return records


def operand_of_lock(store: Store, label: str, lock: Lock) -> Operand:
    """Return the operand of a lock: its image if this store built it, else what the lock itself says."""
    image = attested_image(store, lock)
    if image is not None and store.trees.has(image.tree):
        return operand_of_image(store, label, image, lock)
    return _said(label, lock, lock.image)


def operand_of_recipe(store: Store, label: str, lock: Lock, in_commit: InCommit) -> Operand:
    """Return the operand of a recipe of which `found` is known: its image if this store built it, else what its lock
    says."""
    image = store.images.get(in_commit.image) if in_commit.image and in_commit.proven else None
    if image is not None and store.trees.has(image.tree):
        return operand_of_image(store, label, image, lock)
    return _said(label, lock, in_commit.image)


def _said(label: str, lock: Lock, image: Digest) -> Operand:
    statements, packages = [], []
    for stage in lock.stages:
        statements.append(Statement(stage.name, f"from {stage.base}  # {stage.origin}"))
        for install in stage.installs:
            statements.append(Statement(stage.name, f"{install.manager} {' '.join(install.wants)}"))
            packages += [Declared(install.manager, package.name, package.version) for package in install.packages]
    network = tuple(lock.results.network.values())
    commits = tuple((url, commit_id(pin)) for url, pin in lock.own.commits)
    return Operand(
        label, image, None, None, tuple(statements), tuple(packages), lock.size, network=network, commits=commits
    )


def _of_revision(store: Store, label: str, locked: LockedRecipe, folder: str) -> Operand:
    from envbuild.build.lock_status import image_in_commit  # a checkout: only for revisions of git

    in_commit = image_in_commit(store, folder, locked.commit, locked.path)
    return operand_of_recipe(store, label, locked.lock, in_commit).replace(recipe=((locked.path, locked.recipe),))


def first_lines(operand: Operand) -> list[tuple[str, str]]:
    """Return the operand's statements as a lock has them: each with its stage, without tests."""
    return [(said.stage, first_line(said.text)) for said in operand.statements if not said.test]


def _recipe_at(store: Store, path: str) -> Texts:
    texts = []
    folder = project_of(path)
    for file, _ in load(path, (), store, folder).files:
        try:
            texts.append((file, read_recipe(folder, file).decode("utf-8", "replace")))
        except OSError as error:
            raise UnreadableFile(file, error.strerror or str(error)) from error
    return tuple(texts)


def _read_lock(store: Store, path: str) -> Lock:
    from envbuild.lockfile.lock_file import read_lock

    return read_lock(lock_text(path), path, store)
