"""Fetches the files of packages: several in parallel, continued where a connection broke, checked by their hashes."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from urllib3.exceptions import HTTPError

from envbuild.errors import EnvbuildError
from envbuild.http.addresses import without_user
from envbuild.http.connections import MAX_PARALLEL, Answer, Connections, Refused, TooLarge, cause
from envbuild.http.transport import Transport
from envbuild.lockfile.lock import Package
from envbuild.packages.cache import Address, Cache, Wanted, hash_of
from envbuild.packages.documents import BadDocument
from envbuild.packages.errors import NotToBeHad, TooLargeToFetch, WrongHash

MAX_ATTEMPTS = 4


def fetch(
    cache: Cache,
    wanted: Sequence[Wanted],
    transport: Transport,
    progress: Callable[[int, int], None],
    failed: Callable[[Package, EnvbuildError], None] | None = None,
) -> None:
    """Bring the files of all `wanted` into the cache. `progress` gets the bytes so far, and of all as far as they are
    known. With `failed`, which gets what could not be had and why, the others are still fetched.

    Raises NotToBeHad, WrongHash and TooLargeToFetch; what arrived whole by then stays.
    """
    _Fetching(cache, transport, progress, failed).run(wanted)


class _Fetching:
    """One fetch of many files into a cache."""

    def __init__(
        self,
        cache: Cache,
        transport: Transport,
        progress: Callable[[int, int], None],
        failed: Callable[[Package, EnvbuildError], None] | None,
    ) -> None:
        self._failed = failed
        self._cache = cache
        self._progress = progress
        self._connections = Connections(transport)
        self._most = transport.most
        self._lock = threading.Lock()
        self._done: dict[str, int] = {}
        self._totals: dict[str, int] = {}
        self._stop = threading.Event()

    def run(self, wanted: Sequence[Wanted]) -> None:
        """Fetch all. Raises the first failure, when all that was under way has ended."""
        failures: list[BaseException] = []
        with ThreadPoolExecutor(MAX_PARALLEL, "fetch") as pool:
            running = [(request.package, pool.submit(self._fetch, request)) for request in wanted]
            try:
                for package, future in running:
                    failure = future.exception()
                    if self._failed is not None and isinstance(failure, EnvbuildError):
                        self._failed(package, failure)
                    elif failure is not None:
                        failures.append(failure)
            except BaseException:
                self._stop.set()
                pool.shutdown(cancel_futures=True)
                raise
        if failures:
            raise failures[0]

    def _fetch(self, wanted: Wanted) -> None:
        package = wanted.package
        with self._cache.exclusive(package):
            if self._cache.has(package) or self._stop.is_set():
                return
            part = f"{self._cache.where(package)}.part"
            reasons = [*wanted.problems]
            for address in self._addresses(wanted, reasons):
                try:
                    reason = self._from(address, part, package)
                except TooLarge as error:
                    self._end_others()
                    os.unlink(part)
                    raise TooLargeToFetch(without_user(address.url), error.most) from error
                if reason:
                    reasons.append(reason)
                    continue
                actual = hash_of(part, package.hash)
                if actual != package.hash:
                    os.unlink(part)
                    self._end_others()
                    raise WrongHash(package, actual, without_user(address.url))
                self._cache.keep(part, package)
                return
            if not self._stop.is_set():
                self._end_others()
                raise NotToBeHad(package, reasons)

    def _end_others(self) -> None:
        if self._failed is None:
            self._stop.set()

    def _addresses(self, wanted: Wanted, reasons: list[str]) -> Iterator[Address]:
        """Yield the addresses of a file, each when those before had it not."""
        yield from wanted.addresses
        if wanted.look_up is None or self._stop.is_set():
            return
        try:
            yield from wanted.look_up(self._read)
        except BadDocument as error:
            reasons.append(error.message)
        except HTTPError as error:
            reasons.append(cause(error))

    def _read(self, address: str) -> bytes:
        page = self._connections.read(address, {})
        if page.status != 200:
            raise HTTPError(f"{without_user(address)}: {page.status}")
        return page.content

    def _from(self, address: Address, path: str, package: Package) -> str:
        """Download one file; return "" or why that failed. Raises TooLarge."""
        reason = ""
        shown = without_user(address.url)
        for attempt in range(MAX_ATTEMPTS):
            if self._stop.is_set():
                return "stopped"
            if attempt:
                time.sleep(0.3 * 2**attempt)
            have = os.path.getsize(path) if os.path.exists(path) else 0
            headers = {"Range": f"bytes={have}-"} if have else {}
            try:
                with self._connections.open(address.url, headers, address.giver) as answer:
                    if answer.status == 416:  # more is here than the server has: it is another file by now
                        os.unlink(path)
                        continue
                    if answer.status not in (200, 206):
                        reason = f"{shown}: {answer.status} {answer.reason}"
                        if answer.status < 500 and answer.status != 429:
                            return reason
                        continue
                    # A server that knows no ranges sends all of it again.
                    have = have if answer.status == 206 else 0
                    return "" if self._receive(answer, path, have, package) else "stopped"
            except TooLarge:
                raise
            except Refused as error:
                return f"{shown}: {error}"
            except HTTPError as error:
                reason = f"{shown}: {cause(error)}"
        return reason

    def _receive(self, answer: Answer, path: str, have: int, package: Package) -> bool:
        """Write what a server sends behind the first `have` bytes; False if all is to stop."""
        total = have + answer.length if answer.length else 0
        self._tell(package, have, total)
        got = have
        with open(path, "ab" if have else "wb") as file:
            if total > self._most:
                raise TooLarge(self._most)
            for chunk in answer.stream():
                got += len(chunk)
                if got > self._most:
                    raise TooLarge(self._most)
                file.write(chunk)
                self._tell(package, got, total)
                if self._stop.is_set():
                    return False
        return True

    def _tell(self, package: Package, done: int, total: int) -> None:
        with self._lock:
            self._done[package.hash] = done
            self._totals[package.hash] = total
            self._progress(sum(self._done.values()), sum(self._totals.values()))
