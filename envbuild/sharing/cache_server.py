"""The process of cache_process.py: asks the registry what the build asks it for, several things in parallel."""

from __future__ import annotations

import io
import marshal
import os
import struct
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import IO, Any

from urllib3.exceptions import HTTPError

from envbuild.errors import EnvbuildError
from envbuild.oci.artifact import EMPTY, EMPTY_CONTENT
from envbuild.oci.descriptor import MANIFEST, Descriptor
from envbuild.registry.bodies import TooMuch, stream
from envbuild.registry.client import Repository
from envbuild.registry.errors import NotInRegistry
from envbuild.registry.reference import RegistryReference
from envbuild.registry.server import Patience
from envbuild.registry.upload import Source, upload

Trusted = Callable[[Repository, Descriptor, bytes], bool]
"""Whether the manifest of a record may be used: `trusted(repository, descriptor, manifest)`, as policy says."""
_MAX_PARALLEL = 6
_SIZE = struct.Struct(">I")


def serve(reading: int, writing: int, connect: Callable[[], Repository], trusted: Trusted | None) -> None:
    """Answer until the build closes its end, or there is a failure: that is told, and nothing is answered after it."""
    server = _Server(writing, connect, trusted)
    server.tell("ready", None)
    with os.fdopen(reading, "rb") as requests:
        while head := requests.read(_SIZE.size):
            (size,) = _SIZE.unpack(head)
            kind, value = marshal.loads(requests.read(size))
            try:
                answer = server.answer(kind, value)
            except (EnvbuildError, _Failed, OSError, HTTPError) as error:
                server.tell("failed", error.message if isinstance(error, EnvbuildError) else str(error))
                return
            except Exception as bug:
                server.tell("failed", f"{type(bug).__name__}: {bug}")
                return
            server.tell("done", answer)


class _Failed(Exception):
    """What a registry did wrong."""


class _Server:
    def __init__(self, writing: int, connect: Callable[[], Repository], trusted: Trusted | None) -> None:
        self._writing = writing
        self._connect = connect
        self._trusted = trusted
        self._lock = threading.Lock()
        self._repository: Repository | None = None
        self._has_empty = False

    def tell(self, kind: str, value: Any) -> None:
        message = marshal.dumps((kind, value))
        view = memoryview(_SIZE.pack(len(message)) + message)
        with self._lock:
            while view:
                view = view[os.write(self._writing, view) :]

    def answer(self, kind: str, value: list[Any]) -> object:
        repository = self._reached()
        match kind:
            case "get":
                return self._get(repository, value)
            case "fetch":
                _in_parallel(lambda item: self._fetch(repository, *item), value)
                return None
            case "missing":
                there = _in_parallel(repository.digest_of, value)
                return [tag for tag, digest in zip(value, there, strict=True) if not digest]
            case _:
                return self._put(repository, value)

    def _reached(self) -> Repository:
        if self._repository is None:
            repository = self._connect()
            # The build would not wait for a second attempt.
            repository.exchange.server.patience = Patience(answer=10.0, attempts=1)
            repository.exchange.address("/v2/")
            self._repository = repository
        return self._repository

    def _get(self, repository: Repository, tags: list[str]) -> tuple[dict[str, bytes], list[str]]:
        manifests: dict[str, bytes] = {}
        untrusted: list[str] = []

        def get(tag: str) -> int:
            reference = RegistryReference(repository.host, repository.path, tag)
            try:
                descriptor, content = repository.manifest(reference)
            except NotInRegistry:
                return 0
            self.tell("bytes", len(content))
            if self._trusted is None or self._trusted(repository, descriptor, content):
                manifests[tag] = content
            else:
                untrusted.append(tag)
            return len(content)

        _in_parallel(get, tags)
        return manifests, untrusted

    def _fetch(self, repository: Repository, digest: str, size: int, path: str) -> None:
        what = f"the blob {digest[:19]}"
        exchange = repository.exchange
        place = repository.place(f"blobs/{digest}")
        state = sha256()
        with exchange.ask("GET", place, what, scopes=repository.scopes) as answer:
            exchange.expect(answer, (200,), what)
            if answer.length not in (0, size):
                raise _Failed(f"{repository.host}: {what}: it has another size than its record says")
            with open(path, "xb", buffering=0) as file:
                try:
                    for piece in stream(answer, size, exchange.server.patience):
                        file.write(piece)
                        state.update(piece)
                        self.tell("bytes", len(piece))
                except TooMuch:
                    raise _Failed(f"{repository.host}: {what}: it has more than its {size:,} bytes") from None
        if f"sha256:{state.hexdigest()}" != digest:
            raise _Failed(f"{repository.host}: {what}: it is not what its digest says")
        self.tell("arrived", digest)

    def _put(self, repository: Repository, uploads: list[tuple[str, bytes, list[Any]]]) -> int:
        if not self._has_empty:
            self._send(repository, EMPTY.digest, EMPTY.size, EMPTY_CONTENT)
            self._has_empty = True

        def put(item: tuple[str, bytes, list[Any]]) -> int:
            tag, manifest, blobs = item
            sent = sum(self._send(repository, *blob) for blob in blobs)
            repository.put_manifest(tag, MANIFEST, manifest)
            self.tell("bytes", len(manifest))
            return sent + len(manifest)

        return sum(_in_parallel(put, uploads))

    def _send(self, repository: Repository, digest: str, size: int, content: str | bytes) -> int:
        """Send a blob, if it is not there; return the bytes that were sent."""
        if repository.has_blob(digest, size):
            return 0
        sent = 0

        def progress(at: int) -> bool:
            nonlocal sent
            self.tell("bytes", max(0, at - sent))
            sent = at
            return True

        def opened() -> IO[bytes]:
            return io.BytesIO(content) if isinstance(content, bytes) else open(content, "rb")

        upload(repository, Source(digest, size, opened, progress))
        return size


def _in_parallel(work: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    listed = list(items)
    if len(listed) == 1:
        return [work(listed[0])]
    with ThreadPoolExecutor(_MAX_PARALLEL) as pool:
        return list(pool.map(work, listed))
