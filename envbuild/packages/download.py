"""Fetches the files of packages: several at once, taken up again where a connection broke, checked by their hash."""

from __future__ import annotations

import os
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from urllib3 import BaseHTTPResponse, PoolManager, ProxyManager, Retry, Timeout
from urllib3.exceptions import HTTPError

from envbuild.lock import Package
from envbuild.packages.cache import Cache, Transport, Wanted, hash_of
from envbuild.packages.credentials import without_user
from envbuild.packages.errors import NotToBeHad, WrongHash

AT_ONCE = 8
ATTEMPTS = 4
TIMEOUT = 60.0
_CHUNK = 1 << 18


class Connections:
    """Connections that are kept open between files: the first request of one can be a slow one."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._pools: dict[str, PoolManager] = {}
        self._making = threading.Lock()

    def open(self, address: str, headers: Mapping[str, str]) -> BaseHTTPResponse:
        """A server's answer, whose body is not read yet. Raises urllib3's HTTPError."""
        address = without_user(address)
        own = {name: value for start, name, value in self._transport.headers if address.startswith(start)}
        return self._pool(self._proxy(address)).request(
            "GET",
            address,
            headers={"User-Agent": "envbuild", **own, **headers},
            preload_content=False,
            retries=Retry(total=None, connect=0, read=0, redirect=5, status=0, other=0, raise_on_status=False),
        )

    def read(self, address: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """A small document, such as an index page, with the status. Raises urllib3's HTTPError."""
        with self.open(address, headers) as answer:
            return answer.status, answer.read(decode_content=True)

    def _proxy(self, address: str) -> str:
        from urllib.request import getproxies, proxy_bypass

        scheme, _, rest = address.partition("://")
        host = rest.partition("/")[0].rpartition("@")[2]
        proxies = dict(self._transport.proxies) or getproxies()
        return "" if not proxies.get(scheme) or proxy_bypass(host) else proxies[scheme]

    def _pool(self, proxy: str) -> PoolManager:
        with self._making:
            if proxy not in self._pools:
                context = ssl.create_default_context(cafile=self._transport.bundle or None)
                timeout = Timeout(TIMEOUT)
                self._pools[proxy] = (
                    ProxyManager(proxy, maxsize=AT_ONCE, timeout=timeout, ssl_context=context)
                    if proxy
                    else PoolManager(maxsize=AT_ONCE, timeout=timeout, ssl_context=context)
                )
            return self._pools[proxy]


def fetch(cache: Cache, wanted: Sequence[Wanted], transport: Transport, progress: Callable[[int, int], None]) -> None:
    """Brings the files of all `wanted` into the cache. `progress` is told bytes so far, and in all as far as is known.

    Raises NotToBeHad and WrongHash; what arrived whole by then stays.
    """
    _Fetching(cache, transport, progress).run(wanted)


class _Fetching:
    """One fetch of many files into a cache."""

    def __init__(
        self,
        cache: Cache,
        transport: Transport,
        progress: Callable[[int, int], None],
    ) -> None:
        self._cache = cache
        self._progress = progress
        self._connections = Connections(transport)
        self._lock = threading.Lock()
        self._done: dict[str, int] = {}
        self._totals: dict[str, int] = {}
        self._stop = threading.Event()

    def run(self, wanted: Sequence[Wanted]) -> None:
        """Fetches all. Raises the first failure, when all that was under way has ended."""
        from concurrent.futures import ThreadPoolExecutor

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
        with self._cache.exclusive(package):
            if self._cache.has(package) or self._stop.is_set():
                return
            path = self._cache.where(package)
            part = f"{path}.part"
            reasons = []
            for address in wanted.addresses:
                reason = self._from(address, part, package)
                if reason:
                    reasons.append(reason)
                    continue
                actual = hash_of(part, package.hash)
                if actual != package.hash:
                    os.unlink(part)
                    self._stop.set()
                    raise WrongHash(package, actual, without_user(address))
                os.chmod(part, 0o644)
                os.rename(part, path)
                return
            if not self._stop.is_set():
                self._stop.set()
                raise NotToBeHad(package, reasons)

    def _from(self, address: str, path: str, package: Package) -> str:
        """Downloads one file; returns "" or why that failed."""
        reason = ""
        for attempt in range(ATTEMPTS):
            if self._stop.is_set():
                return "stopped"
            if attempt:
                time.sleep(0.3 * 2**attempt)
            have = os.path.getsize(path) if os.path.exists(path) else 0
            headers = {"Range": f"bytes={have}-"} if have else {}
            try:
                with self._connections.open(address, headers) as answer:
                    if answer.status == 416:  # more is here than the server has: it is another file by now
                        os.unlink(path)
                        continue
                    if answer.status not in (200, 206):
                        reason = f"{without_user(address)}: {answer.status} {answer.reason or ''}"
                        if answer.status < 500 and answer.status != 429:
                            return reason
                        continue
                    # A server that knows no ranges sends all of it again.
                    have = have if answer.status == 206 else 0
                    return "" if self._receive(answer, path, have, package) else "stopped"
            except HTTPError as error:
                reason = f"{without_user(address)}: {_cause(error)}"
        return reason

    def _receive(self, answer: BaseHTTPResponse, path: str, have: int, package: Package) -> bool:
        """Writes what a server sends behind the first `have` bytes; False if all is to stop."""
        length = int(answer.headers.get("Content-Length") or 0)
        total = have + length if length else 0
        self._tell(package, have, total)
        got = have
        with open(path, "ab" if have else "wb") as file:
            for chunk in answer.stream(_CHUNK, decode_content=False):
                file.write(chunk)
                got += len(chunk)
                self._tell(package, got, total)
                if self._stop.is_set():
                    return False
        return True

    def _tell(self, package: Package, done: int, total: int) -> None:
        with self._lock:
            self._done[package.hash] = done
            self._totals[package.hash] = total
            self._progress(sum(self._done.values()), sum(self._totals.values()))


def _cause(error: BaseException) -> str:
    """What a user wants to know of an error that was wrapped again and again."""
    reason = getattr(error, "reason", None)
    return _cause(reason) if isinstance(reason, BaseException) else str(error).rpartition(">: ")[2]
