"""Where stages start: finds a base that the store has, or has it made.

Making is in two parts. `prepare` runs as the user, where the owners of the host's files are true; `finish` runs as
the root of the user namespace and writes the tree.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from envbuild.build.context import Context
from envbuild.build.recipe_cache import arch
from envbuild.build.stage import BaseTree, StageRun
from envbuild.digest import sha256_of
from envbuild.errors import UsageError
from envbuild.images.find import Fits, look_up
from envbuild.images.image_facts import facts_of
from envbuild.images.lock_attestation import is_base, pinned_image, remember_base
from envbuild.language.model import Base
from envbuild.plan.image_config import Facts
from envbuild.store.store import Store
from envbuild.text import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.tree.target import PreparedBase

BASES_FORMAT = 2
"""To be raised when a base comes out different from the same source, so that stores make it again."""
DPKG_STATUS = "/var/lib/dpkg/status"


class BaseNotYet(UsageError):
    """A kind of base that the language has and this version can't make."""

    def __init__(self, base: Base) -> None:
        super().__init__(
            f"{base.place.file}:{base.place.line}: bases of the kind '{base.kind}:' can't be used yet in this version",
            "unpack the image and use tar:FILE, or start from debian:SUITE, host, image: or recipe:",
        )


class Bases:
    """The bases of one build."""

    def __init__(
        self,
        store: Store,
        epoch: int | None,
        *,
        refresh: bool,
        locked: bool,
        context: Callable[[str], Context],
        pinned_image: Callable[[str], str | None],
        fits: Fits,
    ) -> None:
        """`epoch` is $SOURCE_DATE_EPOCH; `refresh` ignores what is pinned, `locked` takes each
        base as the lock has it; `pinned_image` is what the lock says of
        an image reference, and `fits` as `look_up` has it."""
        self._store = store
        self._epoch = epoch
        self._refresh = refresh
        self._locked = locked
        self._context = context
        self._pinned_image = pinned_image
        self._fits = fits

    def find(self, run: StageRun) -> BaseTree | None:
        """The stage's base if the store has it, None if it has to be made. The stages and recipes that it needs
        are done. Raises NoSuchImage, BaseNotYet and ContextError."""
        base = run.stage.base
        if base.kind in ("stage", "recipe"):
            below = run.needs[0]
            return BaseTree(below.tree, self._with_epoch(below.facts), f"{base.kind} {base.argument}")
        if base.kind == "image":
            return self._image(base.argument, base.folder)
        if base.kind in ("oci", "registry"):
            raise BaseNotYet(base)
        if run.locked is not None and not self._refresh and base.kind in ("host", "debian"):
            return self.as_locked(run) if self.is_here(run) else None
        if self._refresh and base.kind in ("host", "debian"):
            return None
        if self._locked and run.locked is not None and self._store.trees.has(run.locked.digest):
            return self.as_locked(run)
        remembered = self._store.memo.get("base", self._memo_key(base))
        if remembered is None:
            return None
        plain = json.loads(remembered)
        if not self._store.trees.has(plain["tree"]):
            return None
        epoch = run.locked.epoch if run.locked is not None else plain["epoch"]
        return BaseTree(plain["tree"], self._facts(epoch), plain["origin"])

    def is_here(self, run: StageRun) -> bool:
        """Whether the store has the tree that the lock names for the stage's base, and made it for that."""
        assert run.locked is not None
        tree = run.locked.digest
        # What is built again from the record of an image is the store's own lock.
        return self._store.trees.has(tree) and (self._locked or is_base(self._store, run.base_text, tree))

    def as_locked(self, run: StageRun) -> BaseTree:
        """The base that the stage's lock names, whether the store has it or not."""
        assert run.locked is not None
        return BaseTree(run.locked.digest, self._facts(run.locked.epoch), run.locked.origin)

    def key(self, run: StageRun) -> str:
        """The name of the stage's base among all that are made; two stages with one key have the same base."""
        return sha256_of(self._memo_key(run.stage.base).encode("utf-8", "surrogateescape"))

    def prepare(self, run: StageRun, work: str, progress: Callable[[str], None]) -> PreparedBase:
        """Begins to make the base, as the user. `work` is a folder for what is only needed meanwhile."""
        base = run.stage.base
        # Each kind is imported only where it is made.
        if base.kind == "scratch":
            from envbuild.bases.scratch import prepare_scratch

            return prepare_scratch()
        if base.kind == "host":
            from envbuild.bases.host import prepare_host

            return prepare_host(base.programs)
        if base.kind == "debian":
            from envbuild.bases.debian import prepare_debian

            return prepare_debian(base.argument, work, progress=progress)
        from envbuild.bases.tarball import prepare_tar

        return prepare_tar(self._context(base.folder).real_path(base.argument))

    def finish(self, run: StageRun, prepared: PreparedBase) -> BaseTree:
        """Writes the prepared base into the store and remembers it."""
        builder = self._store.builder()
        prepared.write(builder)
        tree = builder.finish(prepared.epoch * 1_000_000_000)
        plain = {"tree": tree, "epoch": prepared.epoch, "origin": prepared.identity}
        self._store.memo.put("base", self._memo_key(run.stage.base), json.dumps(plain).encode())
        remember_base(self._store, run.base_text, tree)
        epoch = run.locked.epoch if run.locked is not None and not self._refresh else prepared.epoch
        return BaseTree(tree, self._facts(epoch), prepared.identity)

    def _image(self, reference: str, folder: str) -> BaseTree:
        pinned = None if self._refresh else self._pinned_image(reference)
        image = pinned_image(self._store, reference, pinned) if pinned else None
        if image is None:
            image = look_up(self._store, reference, folder, self._fits)
        return BaseTree(image.tree, self._with_epoch(facts_of(image)), f"image sha256:{image.digest}")

    def _facts(self, epoch: int) -> Facts:
        return self._with_epoch(Facts(arch(), epoch))

    def _with_epoch(self, facts: Facts) -> Facts:
        return facts if self._epoch is None else facts.replace(epoch=self._epoch)

    def _memo_key(self, base: Base) -> str:
        """What the base is made from, as far as a look can tell, and which version of envbuild makes it."""
        return f"{BASES_FORMAT} {self._source_of(base)}"

    def _source_of(self, base: Base) -> str:
        if base.kind == "host":
            try:
                status = os.stat(DPKG_STATUS)
                machine = f"{status.st_mtime_ns} {status.st_size}"
            except FileNotFoundError:
                machine = "without dpkg"
            return f"host {' '.join(base.programs)} {machine}"
        if base.kind == "tar":
            (found,) = self._context(base.folder).select(base.argument, None, 0, keep=False)
            return f"tar {found.entry.digest}"
        return f"{base.kind} {base.argument} {arch()}"
