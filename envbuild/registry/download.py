"""Brings a blob of a registry into a file, continued where a connection broke, held against its digest and size."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from hashlib import sha256

from urllib3.exceptions import HTTPError

from envbuild.http.connections import Answer, cause
from envbuild.oci.descriptor import Descriptor
from envbuild.registry.bodies import TooMuch, stream
from envbuild.registry.client import Repository
from envbuild.registry.errors import BadAnswer, NotInRegistry, Unreachable

_CHUNK = 1 << 20


class Stopped(Exception):
    """Another download failed, and this one is not needed any more."""


def download(repository: Repository, blob: Descriptor, path: str, tell: Callable[[int], bool]) -> None:
    """Bring a blob to `path`, where a part of it may lie already. `tell` gets the bytes that are there, and returns
    whether to go on. Raises BadAnswer, NotInRegistry, Unreachable, Stopped and what asking raises; what can't be the
    beginning of the blob is removed then."""
    what = f"the blob {blob.digest[:19]}"
    patience = repository.exchange.server.patience
    reason = ""
    pause = patience.pause
    failures = 0
    continued = _size(path) > 0
    while failures < patience.attempts:
        have = _size(path)
        if have > blob.size:
            os.unlink(path)
            have = 0
        if have == blob.size:
            break
        headers = {"Range": f"bytes={have}-"} if have else {}
        place = repository.place(f"blobs/{blob.digest}")
        with repository.exchange.ask("GET", place, what, scopes=repository.scopes, headers=headers) as answer:
            if answer.status == 404:
                raise NotInRegistry(f"{repository.host}/{repository.path}@{blob.digest}", repository.host)
            if answer.status == 416:
                os.unlink(path)
                failures += 1
                continue
            repository.exchange.expect(answer, (200, 206), what)
            have = have if answer.status == 206 and _begins_at(answer, have) else 0
            if answer.status == 206 and not have and headers:
                raise BadAnswer(repository.host, what, "another part of it than was asked for")
            try:
                _receive(answer, blob, path, have, repository, tell)
            except TooMuch:
                os.unlink(path)
                raise BadAnswer(repository.host, what, f"it has more than its {blob.size:,} bytes") from None
            except HTTPError as error:
                reason = cause(error)
                # Whoever gets on, be it slowly, is not given up.
                failures = 0 if _size(path) - have >= patience.window_bytes else failures + 1
                time.sleep(pause)
                pause = min(pause * 2, patience.longest)
                continue
        size = _size(path)
        if size < blob.size:
            os.unlink(path)
            raise BadAnswer(repository.host, what, f"it has {size:,} bytes, and not {blob.size:,}")
    else:
        raise Unreachable(repository.host, f"{what}: {reason or 'it breaks off again and again'}")
    if not blob.size and not os.path.exists(path):
        open(path, "xb").close()
    if digest_of(path) != blob.digest:
        os.unlink(path)
        if continued:
            # What lay there may be of another server, or of a machine that lost its power.
            download(repository, blob, path, tell)
            return
        raise BadAnswer(repository.host, what, "it is not what its digest says")


def digest_of(path: str) -> str:
    """Return the digest of a file."""
    state = sha256()
    with open(path, "rb", buffering=0) as file:
        while data := file.read(_CHUNK):
            state.update(data)
    return f"sha256:{state.hexdigest()}"


def _receive(
    answer: Answer, blob: Descriptor, path: str, have: int, repository: Repository, tell: Callable[[int], bool]
) -> None:
    with open(path, "ab" if have else "wb") as file:
        file.truncate(have)
        size = have
        for piece in stream(answer, blob.size - have, repository.exchange.server.patience):
            file.write(piece)
            size += len(piece)
            if not tell(size):
                raise Stopped


def _begins_at(answer: Answer, offset: int) -> bool:
    return answer.header("Content-Range").replace(" ", "").lower().startswith(f"bytes{offset}-")


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except FileNotFoundError:
        return 0
