"""The bases of stages: found in the store, or made.

Making is in two parts. `prepare` runs as the user, where the owners of the host's files are true; `finish` runs as
the root of the user namespace and writes the tree.
"""

from __future__ import annotations

import os
import time

from envbuild.build.base_owners import OwnersLost, belongs_to_nobody
from envbuild.build.graph import Graph, Stage
from envbuild.build.progress import BaseTree
from envbuild.build.request import BuildRequest
from envbuild.build.sources import Sources
from envbuild.digest import sha256_of
from envbuild.language.base_kinds import (
    Base,
    CaptureBase,
    Debian,
    Host,
    ImageBase,
    ImageFileBase,
    RecipeBase,
    RegistryBase,
    Scratch,
    StageBase,
    Tarball,
)
from envbuild.linux.machine import architecture
from envbuild.lockfile.lock import BasePackages, LockedStage
from envbuild.lockfile.lock_fields import packages_from_plain as from_plain
from envbuild.lockfile.lock_fields import packages_to_plain as to_plain
from envbuild.plan.image_config import Facts
from envbuild.record import assert_never
from envbuild.store.store import Store
from envbuild.text import json
from envbuild.tree.entry import Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from envbuild.build.file_sources import FileSources
    from envbuild.tree.target import PreparedBase

BASES_FORMAT = 2
"""To be raised when a base comes out different from the same source, so that stores make it again."""
DPKG_STATUS = "/var/lib/dpkg/status"


def is_made(base: Base) -> bool:
    """Return whether a base is made from this machine or the network, and not from another stage or image."""
    return not isinstance(base, (StageBase, RecipeBase, ImageBase, CaptureBase))


def _pinned(stage: Stage) -> LockedStage | None:
    """Return what the lock has of a stage, if it says what its base is: two branches may have renewed that."""
    return stage.locked if stage.locked is not None and stage.locked.digest else None


class Bases:
    """The bases of one build, but for those that are other stages."""

    def __init__(self, store: Store, graph: Graph, sources: Sources, request: BuildRequest) -> None:
        self._store = store
        self._graph = graph
        self._sources = sources
        self._epoch = request.epoch
        self._refresh = request.refresh
        self._request = request
        self._trust = request.trust
        self._only_locked = not request.record

    def find(self, stage: Stage) -> BaseTree | None:
        """Return the base of a stage if the store has it, None if it has to be made. Raises NoSuchImage
        and ContextError."""
        if self._is_made_anew(stage):
            return None
        match stage.base:
            case ImageBase(reference=reference, folder=folder):
                from envbuild.images.find import facts_of  # loaded with `Sources.image`

                image = self._sources.image(self._graph.recipe_of(stage), reference, folder)
                return BaseTree(image.tree, self._with_epoch(facts_of(image)), f"image sha256:{image.digest}")
            case CaptureBase(reference=reference):
                from envbuild.build.capture_base import captured_base  # few recipes have one

                locked = _pinned(stage) if not self._refresh else None
                base = captured_base(self._store, stage.base_text, reference, locked, self._trust)
                return base.replace(facts=self._with_epoch(base.facts))
            case ImageFileBase():
                return self._taken(stage)
            case RegistryBase():
                return self._pulled(stage)
            case Host() | Debian():
                if self._refresh:
                    return self._remembered(stage, self._request.refreshed) if self._request.refreshed else None
                if _pinned(stage) is not None:
                    return self._sound(stage, self.as_locked(stage)) if self.is_here(stage) else None
            case _:
                pass
        locked = _pinned(stage)
        if self._only_locked and locked is not None and self._store.trees.has(locked.digest):
            return self.as_locked(stage)
        return self._remembered(stage)

    def _taken(self, stage: Stage) -> BaseTree | None:
        """Return the image that was taken last from the same file, or that an image's own record names."""
        from envbuild.build.image_files import ORIGIN, image_of_origin

        remembered = self._store.memo.get("base", self._memo_key(stage)) if not self._only_locked else None
        origin = json.loads(remembered)["origin"] if remembered is not None else ""
        if self._only_locked and stage.locked is not None:
            origin = stage.locked.origin
        image = image_of_origin(self._store, origin)
        if image is None:
            return None
        from envbuild.images.find import facts_of

        if self._trust is not None and isinstance(stage.base, (ImageFileBase, RegistryBase)):
            from envbuild.build.base_policy import check_base

            check_base(self._trust, self._store, stage.base, image)
        return BaseTree(image.tree, self._with_epoch(facts_of(image)), f"{ORIGIN}{image.digest}")

    def _pulled(self, stage: Stage) -> BaseTree | None:
        """Return the image that the lock pins, or else the one that was pulled last by the same name."""
        from envbuild.build.registry_pins import known_image, pin_of

        locked = _pinned(stage)
        origin = locked.origin if locked is not None else ""
        remembered = self._store.memo.get("base", self._memo_key(stage)) if locked is None else None
        if remembered is not None:
            plain = json.loads(remembered)
            # `update` asks the registry, and for several recipes once.
            since = self._request.refreshed or time.time_ns() if self._refresh else 0
            origin = plain["origin"] if plain["made"] >= since else ""
        pin = pin_of(origin)
        image = known_image(self._store, pin) if pin is not None else None
        if pin is None or image is None:
            return None
        from envbuild.images.find import facts_of

        if self._trust is not None and isinstance(stage.base, RegistryBase):
            from envbuild.build.base_policy import may_begin

            if not may_begin(self._trust, self._store, stage.base, image, offline=self._request.offline):
                return None
        return BaseTree(image.tree, self._with_epoch(facts_of(image)), pin.text)

    def _is_made_anew(self, stage: Stage) -> bool:
        """Return whether a base is made although the store may have it, since the question is what it gives."""
        verifies = self._only_locked and not self._request.use_cache
        locked = _pinned(stage)
        return verifies and locked is not None and bool(locked.packages.all)

    def _sound(self, stage: Stage, base: BaseTree) -> BaseTree:
        """Return a base that the lock names. Raises OwnersLost: before envbuild knew of that, locks could name one."""
        if belongs_to_nobody(self._store, stage.base, base.tree):
            raise OwnersLost(stage.base_text, locked=True)
        return base

    def _remembered(self, stage: Stage, since: int = 0) -> BaseTree | None:
        """Return the base that was made last from the same source, if that was not before a moment."""
        plain = self.on_record(stage)
        if plain is None or plain.get("made", 0) < since:
            return None
        if not self._store.trees.has(plain["tree"]) or belongs_to_nobody(self._store, stage.base, plain["tree"]):
            return None
        return self.of_record(stage, plain)

    def on_record(self, stage: Stage) -> dict[str, Any] | None:
        """Return what is on record of the base that was made last from the same source."""
        remembered = self._store.memo.get("base", self._memo_key(stage))
        plain: dict[str, Any] | None = json.loads(remembered) if remembered is not None else None
        return plain

    def of_record(self, stage: Stage, plain: dict[str, Any]) -> BaseTree:
        """Return the base that a record says."""
        locked = _pinned(stage)
        epoch = locked.epoch if locked is not None and not self._refresh else plain["epoch"]
        packages, released = from_plain(plain.get("packages")), plain.get("released", 0)
        return BaseTree(plain["tree"], self._facts(epoch), plain["origin"], packages, released)

    def put_on_record(self, stage: Stage, plain: dict[str, Any]) -> None:
        """Remember a base, whose tree the store has, as the one that was made last from this source."""
        from envbuild.images.lock_attestation import remember_base

        self._store.memo.put("base", self._memo_key(stage), json.dumps({**plain, "made": time.time_ns()}).encode())
        remember_base(self._store, stage.base_text, plain["tree"])

    def remember(self, stage: Stage, tree: Digest, plain: dict[str, Any] | None) -> None:
        """Remember a base that was made elsewhere, and whose tree the store has; `plain` is as in `of_record`, None for
        one that the lock names."""
        if plain is not None:
            self.put_on_record(stage, plain)
            return
        from envbuild.images.lock_attestation import remember_base

        remember_base(self._store, stage.base_text, tree)

    def is_here(self, stage: Stage) -> bool:
        """Return whether the store has the tree that the lock names for a stage's base, and made it for that."""
        assert stage.locked is not None
        tree = stage.locked.digest
        if not self._store.trees.has(tree):
            return False
        from envbuild.images.lock_attestation import is_base  # not for a base that the store remembers

        # What is built again from the record of an image is the store's own lock.
        return self._only_locked or is_base(self._store, stage.base_text, tree)

    def as_locked(self, stage: Stage) -> BaseTree:
        """Return the base that a stage's lock names, whether the store has it or not."""
        assert stage.locked is not None
        locked = stage.locked
        if isinstance(stage.base, ImageFileBase):
            from envbuild.build.image_files import image_of_origin
            from envbuild.images.find import facts_of

            image = image_of_origin(self._store, locked.origin)
            if image is not None:
                return BaseTree(image.tree, self._with_epoch(facts_of(image)), locked.origin)
        return BaseTree(locked.digest, self._facts(locked.epoch), locked.origin, locked.packages, locked.released)

    def key(self, stage: Stage) -> str:
        """Return the name of a stage's base among all that are made; stages with one key have the same base."""
        pinned = self._pinned_digest(stage) if isinstance(stage.base, RegistryBase) else ""
        return sha256_of(f"{self._memo_key(stage)}{pinned}".encode("utf-8", "surrogateescape"))

    def _pinned_digest(self, stage: Stage) -> str:
        """Return the digest of the manifest that a `registry:` base is pinned to, else that of the index that the lock
        has for machines of another kind, "" for none."""
        from envbuild.build.registry_pins import pin_of

        locked = _pinned(stage)
        pin = pin_of(locked.origin) if locked is not None else None
        if pin is not None:
            return pin.manifest
        lock = self._graph.recipe_of(stage).lock
        for section in lock.others if lock is not None and not self._refresh else ():
            other = section.stage(stage.name, stage.base_text)
            pin = pin_of(other.origin) if other is not None else None
            if pin is not None and pin.index:
                return pin.index
        return ""

    def prepare(
        self,
        stage: Stage,
        work: str,
        files: FileSources,
        progress: Callable[[str], None],
        report: Callable[[int, int], None],
    ) -> PreparedBase:
        """Begin to make a base, as the user. `work` is a folder for what is only needed meanwhile. `progress` gets
        lines that tools print, `report` bytes of an archive that are read, and their total."""
        # Each kind is imported only where it is made.
        from envbuild.sandbox.user_namespace import hides_owners

        match stage.base:
            case Scratch():
                from envbuild.bases.tarball import prepare_scratch

                return prepare_scratch()
            case Host() | Debian() if hides_owners():
                raise OwnersLost(stage.base_text, locked=False)
            case Host(programs=programs):
                from envbuild.bases.host import prepare_host

                return prepare_host(programs)
            case Debian(suite=suite) if (locked := _pinned(stage)) and locked.packages.all and not self._refresh:
                from envbuild.bases.debian import prepare_again
                from envbuild.build.base_packages import files_of

                paths = files_of(self._store, self._request, files, locked.packages, locked.released, progress)
                return prepare_again(
                    suite, locked.packages, paths, locked.released, locked.origin, work, progress=progress
                )
            case Debian(suite=suite):
                from envbuild.bases.debian import prepare_debian

                return prepare_debian(suite, work, progress=progress)
            case Tarball(path=path, folder=folder):
                from envbuild.bases.tarball import prepare_tar

                context = self._sources.context(self._graph.recipe_of(stage), folder)
                return prepare_tar(context.real_path(path), report=report)
            case ImageFileBase(path=path, tag=tag, platform=platform, folder=folder):
                from envbuild.build.image_files import prepare_image

                context = self._sources.context(self._graph.recipe_of(stage), folder)
                return prepare_image(context.real_path(path), tag, platform, f"{work}/image-{stage.number}", report)
            case RegistryBase() as base:
                from envbuild.build.file_sources import NeedsNetwork
                from envbuild.build.registry_images import prepare_pull

                if files.offline:
                    raise NeedsNetwork(files.recipe, [stage.base_statement], vendored=False)
                access, most = self._request.registries(), self._request.fetch_limit
                pinned = self._pinned_digest(stage)
                return prepare_pull(self._store, access, self._trust, base, pinned, most, report)
            case ImageBase() | CaptureBase() | StageBase() | RecipeBase():
                raise AssertionError(f"{stage.base_text} is not made")
            case _ as base:
                return assert_never(base)

    def finish(self, stage: Stage, prepared: PreparedBase) -> BaseTree:
        """Write a prepared base into the store and remember it."""
        if isinstance(stage.base, (ImageFileBase, RegistryBase)):
            return self._take(stage, prepared)
        builder = self._store.builder()
        prepared.write(builder)
        tree = builder.finish(prepared.epoch * 1_000_000_000)
        if belongs_to_nobody(self._store, stage.base, tree):
            raise OwnersLost(stage.base_text, locked=False)
        packages = self._packages(stage, prepared)
        plain = {"tree": tree, "epoch": prepared.epoch, "origin": prepared.identity}
        if packages.all:
            plain |= {"packages": to_plain(packages), "released": prepared.epoch}
        self.put_on_record(stage, plain)
        locked = _pinned(stage)
        epoch = locked.epoch if locked is not None and not self._refresh else prepared.epoch
        released = prepared.epoch if packages.all else 0
        return BaseTree(tree, self._facts(epoch), prepared.identity, packages, released)

    def _take(self, stage: Stage, prepared: PreparedBase) -> BaseTree:
        from envbuild.build.image_files import ORIGIN, PreparedImage
        from envbuild.build.registry_images import PulledBase
        from envbuild.images.find import facts_of

        assert isinstance(prepared, (PreparedImage, PulledBase))
        image = prepared.take(self._store)
        if self._trust is not None and isinstance(stage.base, (ImageFileBase, RegistryBase)):
            from envbuild.build.base_policy import check_base

            check_base(self._trust, self._store, stage.base, image)
        origin = prepared.identity if isinstance(prepared, PulledBase) else f"{ORIGIN}{image.digest}"
        plain = {"origin": origin, "made": time.time_ns()}
        self._store.memo.put("base", self._memo_key(stage), json.dumps(plain).encode())
        return BaseTree(image.tree, self._with_epoch(facts_of(image)), origin)

    def _packages(self, stage: Stage, prepared: PreparedBase) -> BasePackages:
        """Return what a base was made of, as far as that is known."""
        if not isinstance(stage.base, Debian):
            return BasePackages()
        from envbuild.bases.debian import DebianBase
        from envbuild.build.base_packages import packages_of

        if isinstance(prepared, DebianBase) and prepared.made_of is not None:
            return packages_of(prepared.made_of)
        return stage.locked.packages if stage.locked is not None else BasePackages()

    def _facts(self, epoch: int) -> Facts:
        return self._with_epoch(Facts(architecture(), epoch))

    def _with_epoch(self, facts: Facts) -> Facts:
        return facts if self._epoch is None else facts.replace(epoch=self._epoch)

    def _memo_key(self, stage: Stage) -> str:
        """Return what a base is made from, as far as a look can tell, and which version of envbuild makes it."""
        return f"{BASES_FORMAT} {self._source_of(stage)}"

    def _source_of(self, stage: Stage) -> str:
        match stage.base:
            case Host(programs=programs):
                try:
                    status = os.stat(DPKG_STATUS)
                    machine = f"{status.st_mtime_ns} {status.st_size}"
                except FileNotFoundError:
                    machine = "without dpkg"
                return f"host {' '.join(programs)} {machine}"
            case Tarball(path=path, folder=folder):
                from envbuild.build.context_scan import Choice

                context = self._sources.context(self._graph.recipe_of(stage), folder)
                (item,) = context.select(path, Choice(), 0, keep=False)
                return f"tar {item.entry.digest}"
            case ImageFileBase(path=path, tag=tag, platform=platform, folder=folder):
                from envbuild.build.context_scan import Choice

                context = self._sources.context(self._graph.recipe_of(stage), folder)
                (item,) = context.select(path, Choice(), 0, keep=False)
                return f"oci {item.entry.digest} {tag} {platform or architecture()}"
            case RegistryBase(reference=reference, platform=platform):
                return f"registry {reference} {platform or architecture()}"
            case Scratch():
                return f"scratch  {architecture()}"
            case Debian(suite=suite):
                return f"debian {suite} {architecture()}"
            case _:
                raise AssertionError(f"{stage.base_text} is not made")
