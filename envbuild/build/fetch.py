"""`fetch`: files from the network, kept in the store by their sha256.

The download happens outside any sandbox and before the step, since the digest is part of the step's key.
"""

from __future__ import annotations

import os
import time

from envbuild.build.file_sources import FileSources, NeedsNetwork
from envbuild.digest import Sha256
from envbuild.errors import WorkFailed, fields
from envbuild.store.fetched import fetched_object
from envbuild.store.objects import Objects
from envbuild.store.store import Store
from envbuild.tree.entry import Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from envbuild.http.addresses import WebAddress
    from envbuild.http.connections import Answer

_CHUNK = 1 << 18
_MAX_ATTEMPTS = 3


@fields
class FetchFailed(WorkFailed):
    """The network did not give the file."""

    url: str
    reason: str

    def text(self) -> tuple[str, str]:
        return f"fetch: {self.url}: {self.reason}", "check the address and the network, and build again"


@fields
class WrongDigest(WorkFailed):
    """The network gave another file than the recipe or the lock says."""

    url: str
    expected: Digest
    actual: Digest
    source: str

    def text(self) -> tuple[str, str]:
        return (
            f"fetch: {self.url} is not the file that {self.source} says\n"
            f"  expected sha256 {self.expected}\n  got      sha256 {self.actual}",
            "if the new file is meant, change sha256= in the recipe, or renew the lock with: envbuild update",
        )


def content_of(store: Store, digest: Digest) -> str:
    """Return the path of a fetched file in the store; the caller has seen to it that it is there."""
    return _pooled(store.objects, digest)


def has_content(store: Store, digest: Digest) -> bool:
    """Return whether the file of this digest was fetched before."""
    return os.path.exists(_pooled(store.objects, digest))


def fetch(
    store: Store,
    url: str,
    expected: Digest | None,
    source: str,
    progress: Callable[[int, int], None],
    most: int,
    files: FileSources,
) -> tuple[Digest, str]:
    """Fetch `url` into the store; return its sha256, and the address to which the server sent us on, "" if it did not.
    `source` is who said `expected`; `progress` gets the bytes so far and in all (0 where unknown). A broken connection
    is resumed. The file may have `most` bytes.

    Raises FetchFailed, TooLargeToFetch, WrongDigest, BadAddress and NeedsNetwork.
    """
    from envbuild.http.addresses import WebAddress, without_user

    address = WebAddress(url)
    at = without_user(url)
    with store.work.file() as temporary:
        if expected is None or not files.take(f"sha256:{expected}", temporary, lambda size: None):
            if files.offline:
                raise NeedsNetwork(files.recipe, [f"fetch {without_user(url)}"])
            at = _download(address, temporary, progress, most)
        digest = hash_file(temporary)
        if expected is not None and digest != expected:
            raise WrongDigest(url, expected, digest, source)
        keep_fetched(store, temporary, digest)
    return digest, at if at != without_user(url) else ""


def ask(url: str) -> None:
    """Ask whether there is a file, and take none of it. Raises FetchFailed where nobody answers or says that there is
    none, and BadAddress. Other answers may be to this question alone: only the download shows what they mean."""
    from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

    from envbuild.http.addresses import WebAddress
    from envbuild.http.connections import Connections, cause
    from envbuild.http.transport import Transport
    from envbuild.packages.credentials import headers_of

    address = WebAddress(url)
    connections = Connections(Transport(headers=headers_of([address], [])))
    for attempt in range(1, _MAX_ATTEMPTS + 1):
        try:
            # A server may know nothing of HEAD, and say that there is no such file.
            for method in ("HEAD", "GET"):
                with connections.open(address, {}, method=method) as answer:
                    if answer.status not in (404, 410):
                        return
            raise FetchFailed(url, f"the server answered {answer.status} {answer.reason}")
        except HTTPError as error:
            if not isinstance(getattr(error, "reason", error), (ConnectTimeoutError, NewConnectionError)):
                return
            if attempt == _MAX_ATTEMPTS:
                raise FetchFailed(url, cause(error)) from error
        time.sleep(attempt)


def _pooled(objects: Objects, digest: Digest) -> str:
    return objects.where(fetched_object(digest))


def _download(url: WebAddress, path: str, progress: Callable[[int, int], None], most: int) -> str:
    """Download a file and return the address that it came from in the end."""
    from urllib3.exceptions import HTTPError  # 70 ms, only when something is fetched

    from envbuild.http.connections import Connections, Refused, TooLarge, cause
    from envbuild.http.transport import Transport
    from envbuild.packages.credentials import headers_of
    from envbuild.packages.errors import TooLargeToFetch

    connections = Connections(Transport(headers=headers_of([url], [])))
    for attempt in range(1, _MAX_ATTEMPTS + 1):
        have = os.path.getsize(path) if os.path.exists(path) else 0
        try:
            with connections.open(url, {"Range": f"bytes={have}-"} if have else {}) as answer:
                if answer.status not in (200, 206):
                    if answer.status < 500 or attempt == _MAX_ATTEMPTS:
                        raise FetchFailed(url, f"the server answered {answer.status} {answer.reason}")
                else:
                    # A server that knows no ranges sends all of it again.
                    _receive(answer, path, have if answer.status == 206 else 0, progress, most)
                    return str(answer.address)
        except TooLarge as error:
            raise TooLargeToFetch(url, error.most) from error
        except HTTPError as error:
            if attempt == _MAX_ATTEMPTS or isinstance(error, Refused):
                raise FetchFailed(url, cause(error)) from error
        time.sleep(attempt)
    raise AssertionError("the last attempt raises or returns")


def _receive(answer: Answer, path: str, have: int, progress: Callable[[int, int], None], most: int) -> None:
    from envbuild.http.connections import TooLarge

    total = have + answer.length if answer.length else 0
    if total > most:
        raise TooLarge(most)
    with open(path, "ab" if have else "wb") as file:
        got = have
        for chunk in answer.stream():
            got += len(chunk)
            if got > most:
                raise TooLarge(most)
            file.write(chunk)
            progress(got, total)


def keep_fetched(store: Store, path: str, digest: Digest) -> None:
    """Move a file, whose sha256 was looked at, into the store."""
    os.chmod(path, 0o644)
    store.objects.put(path, _pooled(store.objects, digest))


def hash_file(path: str) -> Digest:
    """Return the sha256 of a file."""
    state = Sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            state.update(chunk)
    return state.hexdigest()
