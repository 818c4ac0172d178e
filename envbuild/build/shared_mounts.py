"""The directories of `cache=` that travel with a shared cache: an empty one is filled with what was left there last,
and those that steps of a build used are put there in its end. Whoever writes last is right: they are caches."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence

from envbuild.digest import sha256_of
from envbuild.errors import EnvbuildError
from envbuild.language.statement_parts import CacheMount
from envbuild.linux.rmtree import remove
from envbuild.oci.manifest import BadImage
from envbuild.sharing.cache_process import CacheGone, CacheProcess, Upload
from envbuild.sharing.mount_archive import (
    MAX_ARCHIVE,
    manifest_of_mount,
    pack_directory,
    read_mount,
    unpack_directory,
)
from envbuild.sharing.shared_step import tag_of
from envbuild.store.store import Store
from envbuild.text import json

_FORMAT = 1


class SharedMounts:
    """The caches of one build's steps. Threads of the build may use it."""

    def __init__(self, store: Store, processes: Sequence[CacheProcess], warn: Callable[[str], None]) -> None:
        self._store = store
        self._processes = processes
        self._warn = warn
        self._lock = threading.Lock()
        self._used: dict[str, str] = {}
        """The directories of caches that steps used, by their tags."""

    def begin(
        self, recipe: str, cache: CacheMount, owner: tuple[int, int], path: str, make: Callable[[str], None]
    ) -> None:
        """Note that a step of a recipe, which has this name, is about to use a cache in the directory `path`; fill that
        if it is empty. `make` makes a directory as the cache's is."""
        whose = ["id", cache.id] if cache.id else ["recipe", recipe, cache.target]
        key = sha256_of(json.dumps(["envbuild mount", _FORMAT, *whose, *owner, cache.mode]).encode())
        with self._lock:
            tag = tag_of("mount", key)
            if tag not in self._used and not os.listdir(path):
                self._fill(tag, path, make)
            self._used[tag] = path

    def export(self, process: CacheProcess, threads: int, sign: Callable[[bytes], bytes]) -> None:
        """Put the caches that were used into a registry. Raises CacheGone."""
        for tag, path in self._used.items():
            if not os.listdir(path):
                continue
            with self._store.work.file() as temporary:
                try:
                    archive = pack_directory(path, temporary, threads)
                except (OSError, EnvbuildError) as error:
                    self._warn(f"a cache is not put into the shared cache {process.name}: {error}")
                    continue
                if archive.size > MAX_ARCHIVE:
                    self._warn(f"a cache of {archive.size:,} bytes is not put into the shared cache {process.name}")
                    continue
                manifest = sign(manifest_of_mount(tag, archive))
                process.put([Upload(tag, manifest, ((archive.digest, archive.size, temporary),))])

    def _fill(self, tag: str, path: str, make: Callable[[str], None]) -> None:
        for process in self._processes:
            if process.gone:
                continue
            try:
                manifests, untrusted = process.get([tag])
                if untrusted:
                    self._warn(f"a cache of the shared cache {process.name} is not used: no key that counts signed it")
                manifest = manifests.get(tag)
                if manifest is None:
                    continue
                archive = read_mount(manifest, tag)
                with self._store.work.file() as temporary:
                    process.fetch([(archive.digest, archive.size, temporary)])
                    self._unpack(temporary, path, make)
                return
            except CacheGone as error:
                self._warn(f"the shared cache {process.name} is not used: {error}")
            except (BadImage, EnvbuildError, OSError) as error:
                self._warn(f"a cache of the shared cache {process.name} is not used: {error}")

    def _unpack(self, archive: str, path: str, make: Callable[[str], None]) -> None:
        """Fill a cache's directory with all of an archive, or with nothing."""
        made = f"{path}.new-{os.urandom(4).hex()}"
        make(made)
        try:
            with open(archive, "rb") as file:
                unpack_directory(file, made, owners=self._store.owners_observable)
            os.rename(made, path)  # which is empty
        except BaseException:
            remove(made)
            raise
