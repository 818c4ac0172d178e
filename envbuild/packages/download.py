"""Fetches the files of packages: several at once, taken up again where a connection broke, checked against their hash.

The cache is a folder of files that are named by their hash. A file is in it whole or not at all; what was fetched of
one that broke off lies beside it and is continued, by this command or a later one.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager

from envbuild.lock import Package
from envbuild.packages.errors import NotToBeHad, WrongHash
from envbuild.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

AT_ONCE = 8
ATTEMPTS = 4
TIMEOUT = 60.0
_CHUNK = 1 << 18


class Wanted(Record):
    """A package and the addresses that may have its file, the likeliest first."""

    package: Package
    addresses: tuple[str, ...]


class Transport(Record):
    """How this machine reaches servers: `proxies` by scheme, `bundle` a file of certificates ("" for the usual ones),
    `headers` by the beginning of addresses (such as those that name a user)."""

    proxies: tuple[tuple[str, str], ...] = ()
    bundle: str = ""
    headers: tuple[tuple[str, str, str], ...] = ()


class Cache:
    """The package cache of a store."""

    def __init__(self, path: str, exclusive: Callable[[str], AbstractContextManager[None]]) -> None:
        """`exclusive` holds a name against all other processes."""
        self._path = path
        self._exclusive = exclusive

    def where(self, package: Package) -> str:
        """Where the package's file is, or would be."""
        return f"{self._path}/{package.hash.replace(':', '-')}"

    def has(self, package: Package) -> bool:
        return os.path.exists(self.where(package))

    def verify(self, package: Package) -> bool:
        """Whether the file is there and is still what its name says; one that is not is removed."""
        path = self.where(package)
        try:
            if hash_of(path, package.hash) == package.hash:
                return True
            os.unlink(path)
        except FileNotFoundError:
            pass
        return False

    def fetch(self, wanted: Sequence[Wanted], transport: Transport, progress: Callable[[int, int], None]) -> None:
        """Brings the files of all `wanted` in. `progress` is told bytes so far, and in all as far as is known.

        Raises NotToBeHad and WrongHash; what arrived whole by then stays.
        """
        os.makedirs(self._path, mode=0o755, exist_ok=True)
        _Fetching(self, self._exclusive, transport, progress).run(wanted)

    def keep_only(self, hashes: Iterable[str]) -> int:
        """Removes all files but those of these hashes; the bytes that came free."""
        kept = {name.replace(":", "-") for name in hashes}
        size = 0
        for name in os.listdir(self._path) if os.path.isdir(self._path) else ():
            if name not in kept:
                size += os.lstat(f"{self._path}/{name}").st_size
                os.unlink(f"{self._path}/{name}")
        return size


def hash_of(path: str, like: str) -> str:
    """The hash of a file, in the algorithm that the hash `like` has."""
    state = hashlib.new(like.partition(":")[0])
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            state.update(chunk)
    return f"{state.name}:{state.hexdigest()}"


class _Fetching:
    def __init__(
        self,
        cache: Cache,
        exclusive: Callable[[str], AbstractContextManager[None]],
        transport: Transport,
        progress: Callable[[int, int], None],
    ) -> None:
        self._cache = cache
        self._exclusive = exclusive
        self._progress = progress
        self._opener = _opener(transport)
        self._headers = transport.headers
        self._lock = threading.Lock()
        self._done: dict[str, int] = {}
        self._totals: dict[str, int] = {}
        self._stop = threading.Event()

    def run(self, wanted: Sequence[Wanted]) -> None:
        from concurrent.futures import ThreadPoolExecutor  # 15 ms, only when something is fetched

        with ThreadPoolExecutor(AT_ONCE, "fetch") as pool:
            running = [pool.submit(self._one, one) for one in wanted]
            try:
                failures = [failure for one in running if (failure := one.exception()) is not None]
            except BaseException:
                self._stop.set()
                pool.shutdown(cancel_futures=True)
                raise
        if failures:
            raise failures[0]

    def _one(self, wanted: Wanted) -> None:
        package = wanted.package
        with self._exclusive(f"package-{package.hash.partition(':')[2][:64]}"):
            if self._cache.has(package) or self._stop.is_set():
                return
            path = self._cache.where(package)
            reasons = []
            for address in wanted.addresses:
                reason = self._from(address, f"{path}.part", package)
                if reason:
                    reasons.append(reason)
                    continue
                actual = hash_of(f"{path}.part", package.hash)
                if actual != package.hash:
                    os.unlink(f"{path}.part")
                    self._stop.set()
                    raise WrongHash(package, actual, address)
                os.chmod(f"{path}.part", 0o644)
                os.rename(f"{path}.part", path)
                return
            self._stop.set()
            raise NotToBeHad(package, reasons)

    def _from(self, address: str, path: str, package: Package) -> str:
        """Downloads one file; returns "" or why that failed."""
        from urllib.error import HTTPError, URLError  # 30 ms, as above
        from urllib.request import Request

        headers = {name: value for start, name, value in self._headers if address.startswith(start)}
        reason = ""
        for attempt in range(ATTEMPTS):
            if self._stop.is_set():
                return "stopped"
            if attempt:
                time.sleep(0.3 * 2**attempt)
            have = os.path.getsize(path) if os.path.exists(path) else 0
            span = {"Range": f"bytes={have}-"} if have else {}
            try:
                request = Request(address, headers={"User-Agent": "envbuild", **headers, **span})
                with self._opener(request) as answer:
                    # A server that knows no ranges sends all of it again.
                    have = have if getattr(answer, "status", None) == 206 else 0
                    length = int(answer.headers.get("Content-Length") or 0)
                    self._tell(package, have, have + length if length else 0)
                    got = have
                    with open(path, "ab" if have else "wb") as file:
                        while chunk := answer.read(_CHUNK):
                            file.write(chunk)
                            got += len(chunk)
                            self._tell(package, got, have + length if length else 0)
                            if self._stop.is_set():
                                return "stopped"
                if length and got < have + length:
                    raise URLError("the connection broke")
                return ""
            except HTTPError as error:
                error.close()
                if error.code == 416:  # more is there than the server has: it is another file by now
                    os.unlink(path)
                    continue
                reason = f"{_shown(address)}: {error.code} {error.reason}"
                if error.code < 500 and error.code != 429:
                    return reason
            except (URLError, OSError, ValueError) as error:
                reason = f"{_shown(address)}: {getattr(error, 'reason', error)}"
                if isinstance(error, ValueError) or (isinstance(error, OSError) and error.errno == 28):
                    return reason
        return reason

    def _tell(self, package: Package, done: int, total: int) -> None:
        with self._lock:
            self._done[package.hash] = done
            self._totals[package.hash] = total
            self._progress(sum(self._done.values()), sum(self._totals.values()))


def _shown(address: str) -> str:
    """An address without the user and password that may be in it."""
    scheme, separator, rest = address.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"


def read(address: str, transport: Transport, headers: Mapping[str, str]) -> bytes:
    """A small document from a server, such as an index page. Raises OSError, which URLError is."""
    from urllib.request import Request

    own = {name: value for start, name, value in transport.headers if address.startswith(start)}
    with _opener(transport)(Request(address, headers={"User-Agent": "envbuild", **own, **headers})) as answer:
        content: bytes = answer.read()
        return content


def _opener(transport: Transport) -> Callable[..., Any]:
    import ssl
    from functools import partial
    from urllib.request import HTTPSHandler, ProxyHandler, build_opener

    context = ssl.create_default_context(cafile=transport.bundle or None)
    # Without proxies of its own it takes those of the environment.
    proxies = ProxyHandler(dict(transport.proxies) if transport.proxies else None)
    return partial(build_opener(HTTPSHandler(context=context), proxies).open, timeout=TIMEOUT)
