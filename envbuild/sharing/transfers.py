"""Blobs that go up or down, several in parallel, and how far all of them are."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from envbuild.registry.download import Stopped

MAX_PARALLEL = 6
Report = Callable[[str, int, int], None]
Item = TypeVar("Item")


class Transfers:
    """Several transfers: `what` is done, of `total` bytes in all."""

    def __init__(self, what: str, total: int, report: Report) -> None:
        self._what = what
        self._total = total
        self._report = report
        self._done: dict[str, int] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()

    def tell(self, name: str, done: int) -> bool:
        """Note how many bytes of a blob are there, and return whether to go on."""
        with self._lock:
            self._done[name] = done
            self._report(self._what, sum(self._done.values()), self._total)
        return not self._stop.is_set()

    def run(self, work: Callable[[Item], None], items: Sequence[Item]) -> None:
        """Do `work` for each. Raises the first failure when all that was under way has ended."""
        failures: list[BaseException] = []

        def begin(item: Item) -> None:
            if self._stop.is_set():
                return
            try:
                work(item)
            except Stopped:
                pass
            except BaseException as error:
                self._stop.set()
                failures.append(error)

        with ThreadPoolExecutor(MAX_PARALLEL, "transfer") as pool:
            futures = [pool.submit(begin, item) for item in items]
            try:
                for future in futures:
                    future.result()
            except BaseException:
                self._stop.set()
                pool.shutdown(cancel_futures=True)
                raise
        if failures:
            raise failures[0]
