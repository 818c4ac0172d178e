"""`fetch`: files from the network, kept in the store by their sha256.

The download happens outside any sandbox and before the step, since the digest is part of the step's key.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from envbuild.digest import sha256
from envbuild.errors import UsageError, WorkFailed
from envbuild.store.fetched import fetched_object
from envbuild.store.objects import Objects
from envbuild.store.store import Store
from envbuild.tree.entry import Digest

_CHUNK = 1 << 18
_ATTEMPTS = 3
_TIMEOUT = 60.0
SCHEMES = ("http", "https", "file")


class FetchFailed(WorkFailed):
    """The network did not give the file."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"fetch: {url}: {reason}", "check the address and the network, and build again")


class WrongDigest(WorkFailed):
    """The network gave another file than the recipe or the lock says."""

    def __init__(self, url: str, expected: Digest, actual: Digest, source: str) -> None:
        super().__init__(
            f"fetch: {url} is not the file that {source} says\n"
            f"  expected sha256 {expected}\n  got      sha256 {actual}",
            "if the new file is meant, change sha256= in the recipe, or renew the lock with: envbuild update",
        )


class BadAddress(UsageError):
    """An address of a kind that can't be fetched."""

    def __init__(self, url: str) -> None:
        super().__init__(f"fetch: can't fetch '{url}'", f"addresses begin with {', '.join(f'{s}://' for s in SCHEMES)}")


def content_of(store: Store, digest: Digest) -> str:
    """The path of a fetched file in the store; the caller has seen to it that it is there."""
    return _pooled(store.objects, digest)


def has_content(store: Store, digest: Digest) -> bool:
    """Whether the file of this digest was fetched before."""
    return os.path.exists(_pooled(store.objects, digest))


def fetch(store: Store, url: str, expected: Digest | None, source: str, progress: Callable[[int, int], None]) -> Digest:
    """Fetches `url` into the store and returns its sha256. `source` is who said `expected`; `progress` is told
    bytes so far and in all (0 where unknown). A broken connection is taken up again where it broke.

    Raises FetchFailed, WrongDigest and BadAddress.
    """
    if url.partition("://")[0] not in SCHEMES:
        raise BadAddress(url)
    with store.work.file() as temporary:
        _download(url, temporary, progress)
        digest = _hash(temporary)
        if expected is not None and digest != expected:
            raise WrongDigest(url, expected, digest, source)
        os.chmod(temporary, 0o644)
        store.objects.put(temporary, _pooled(store.objects, digest))
    return digest


def _pooled(objects: Objects, digest: Digest) -> str:
    return objects.where(fetched_object(digest))


def _download(url: str, path: str, progress: Callable[[int, int], None]) -> None:
    from urllib.error import HTTPError, URLError  # 30 ms, only when something is fetched
    from urllib.request import Request, urlopen

    for attempt in range(1, _ATTEMPTS + 1):
        have = os.path.getsize(path) if os.path.exists(path) else 0
        request = Request(url, headers={"User-Agent": "envbuild", **({"Range": f"bytes={have}-"} if have else {})})
        try:
            with urlopen(request, timeout=_TIMEOUT) as answer:
                # A server that knows no ranges sends all of it again.
                have = have if getattr(answer, "status", None) == 206 else 0
                length = int(answer.headers.get("Content-Length") or 0)
                with open(path, "ab" if have else "wb") as file:
                    got = have
                    while chunk := answer.read(_CHUNK):
                        file.write(chunk)
                        got += len(chunk)
                        progress(got, have + length if length else 0)
            if length and got < have + length:
                raise URLError("the connection broke")
            return
        except HTTPError as error:
            if error.code < 500 or attempt == _ATTEMPTS:
                raise FetchFailed(url, f"the server answered {error.code} {error.reason}") from error
        except (URLError, OSError, ValueError) as error:
            if attempt == _ATTEMPTS or isinstance(error, ValueError):
                raise FetchFailed(url, str(getattr(error, "reason", error))) from error
        time.sleep(attempt)


def _hash(path: str) -> Digest:
    state = sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            state.update(chunk)
    return state.hexdigest()
