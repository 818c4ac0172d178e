"""The registries that one build shares results with: asked while it looks for results, given what they lack at its end.

All of it is beside the build: whatever goes wrong is a warning.
"""

from __future__ import annotations

import os
from types import TracebackType

from envbuild.build.events import Notice
from envbuild.build.job import BuildJob
from envbuild.build.request import BuildRequest, CachePlace
from envbuild.build.shared_cache import SharedCache
from envbuild.build.shared_export import export
from envbuild.build.shared_mounts import SharedMounts
from envbuild.lockfile.lock import path_of
from envbuild.sandbox.user_namespace import enter_user_namespace
from envbuild.sharing.cache_process import Allowance, CacheGone, CacheProcess
from envbuild.store.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from envbuild.oci.descriptor import Descriptor
    from envbuild.registry.client import Repository

_MAX_LOST = 3


class SharedPlaces:
    """The registries of a build. Use it as a context manager: leaving it ends the processes that ask them."""

    def __init__(self, request: BuildRequest, store: Store) -> None:
        self._store = store
        time = Allowance(request.cache_patience)
        self._from = [_process(place, request, time, reads=True) for place in request.cache_from]
        self._to = [_process(place, request, time, reads=False) for place in request.cache_to]
        self._asks = request.record and not request.refresh and not store.database.read_only
        if self._asks and not store.knows_lock(os.path.abspath(path_of(request.path))):
            # The first build here of this recipe: it will ask, and loads its recipe while this gets ready.
            for process in self._from:
                process.start()
        self._warned: set[str] = set()
        self._lost = 0
        self._job: BuildJob

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._store.trees.elsewhere = None
        for process in (*self._from, *self._to):
            process.close()

    def serve(self, job: BuildJob) -> None:
        """Have a build look here for what the store lacks."""
        self._job = job
        self._store.trees.elsewhere = None
        if self._asks and any(not process.gone for process in self._from):
            job.cache.shared = SharedCache(job.store, job.graph, job.bases, job.reporter.emit, self._from, self._warned)
            self._store.trees.elsewhere = job.cache.shared.trees.directory
        if job.request.cache_mounts and job.request.record:
            job.cache.mounts = SharedMounts(job.store, self._from if self._asks else [], self._warn)

    def lose(self) -> None:
        """Note that a registry did not have what it said, so that in the end none is asked."""
        self._lost += 1
        if self._lost >= _MAX_LOST:
            self._asks = False

    def prepare(self) -> None:
        """Start what has to be started while the build has one thread, and is not in its namespace."""
        for process in (*self._from, *self._to):
            process.start()

    def bring_images(self) -> None:
        """Bring the trees of the build's images into the store. Raises SharedTreesLost."""
        job = self._job
        if job.cache.shared is None:
            return
        stages = [stage for recipe in job.graph.recipes for stage in (recipe.target, *(s for _, s in recipe.others))]
        trees = [job.progress[stage].tree for stage in stages]
        if any(map(job.cache.shared.trees.is_elsewhere, trees)):
            self._store.owners_observable = enter_user_namespace().kind != "single"
        job.cache.shared.trees.ensure(trees)

    def export(self) -> None:
        """Give each registry what it lacks of the build's results."""
        places = self._job.request.cache_to
        for place, process in zip(places, self._to, strict=True):
            name = f"{place.reference.host}/{place.reference.path}"
            export(self._job, process, name, self._warned)
            if self._job.cache.mounts is not None:
                self._export_mounts(self._job.cache.mounts, process, name)

    def _export_mounts(self, mounts: SharedMounts, process: CacheProcess, name: str) -> None:
        key = self._job.request.key

        def sign(manifest: bytes) -> bytes:
            if key is None:
                return manifest
            from envbuild.sharing.record_signature import signed_record  # cryptography is slow to load

            return signed_record(manifest, name, key)

        try:
            mounts.export(process, self._job.request.jobs, sign)
        except CacheGone as error:
            self._warn(f"the caches of steps are not put into the shared cache {process.name}: {error}")

    def _warn(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            self._job.reporter.emit(Notice("warning", text, "the build does without it"))


def _process(place: CachePlace, request: BuildRequest, time: Allowance, *, reads: bool) -> CacheProcess:
    trust = request.trust
    name = f"{place.reference.host}/{place.reference.path}"

    def trusted(_repository: Repository, _descriptor: Descriptor, manifest: bytes) -> bool:
        assert trust is not None
        return trust.trusts_record(name, manifest)

    def connect() -> Repository:
        return request.registries().repository(place.reference, place.rights, insecure=place.insecure)

    return CacheProcess(place.name, connect, trusted if trust is not None and reads else None, time)
