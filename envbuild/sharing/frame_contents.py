"""Which frames of a layer's blob hold the contents that are missing, and these contents out of them, into the pool."""

from __future__ import annotations

import os
import threading
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from zstandard import ZstdDecompressor, ZstdError, frame_content_size

from envbuild.oci.layer_index import BadIndex, LayerIndex
from envbuild.record import Record
from envbuild.store.content_writer import Assembly, ContentWriter
from envbuild.store.step_cache import ContentChanged
from envbuild.tree.entry import Entry

WHOLE = 1 / 3
"""The share of a layer's bytes from which all that lies between is fetched, too, in one request: on a fast link many
small requests take longer (podman#22783)."""
_GAP = 64 << 10
"""Bytes between two parts that are fetched along rather than asked for apart."""
_MAX_PARTS = 64
_WAITING = 4
"""Frames for each worker that may wait in memory."""


class Content(Record):
    """A content in the archive of a layer, and the files that it is for: they differ in their attributes alone."""

    start: int
    files: tuple[Entry, ...]

    @property
    def end(self) -> int:
        """Where it ends."""
        return self.start + self.files[0].size


class Run(Record):
    """Frames one behind the other: the number of the first, and of the one behind the last."""

    first: int
    end: int


class LayerContents:
    """The contents that are taken out of one layer. Raises BadIndex where they lie on top of each other or outside."""

    def __init__(self, index: LayerIndex, contents: Iterable[Content]) -> None:
        self._index = index
        self._starts = index.starts
        self._contents = sorted(contents, key=lambda content: content.start)
        self._ends: list[int] = [content.end for content in self._contents]
        before = 0
        for content in self._contents:
            if len({file.size for file in content.files}) != 1:
                raise BadIndex("files of one content differ in their size")
            if content.start < before or content.end > self._starts[-1][1]:
                raise BadIndex("its contents lie on top of each other, or outside of it")
            before = content.end
        self._assemblies: dict[int, Assembly] = {}
        self._lock = threading.Lock()

    def runs(self) -> list[Run]:
        """Return the frames that are needed, together where little lies between."""
        plain = [start for _, start in self._starts]
        needed: set[int] = set()
        for content in self._contents:
            needed.update(range(bisect_right(plain, content.start) - 1, bisect_right(plain, content.end - 1)))
        if not needed:
            return []
        numbers = sorted(needed)
        if sum(self._index.frames[number][0] for number in numbers) > WHOLE * self._starts[-1][0]:
            return [Run(numbers[0], numbers[-1] + 1)]
        gap = _GAP
        while len(runs := self._together(numbers, gap)) > _MAX_PARTS:
            gap *= 2
        return runs

    def bounds(self, run: Run) -> tuple[int, int]:
        """Return where in the blob a run begins and ends."""
        return self._starts[run.first][0], self._starts[run.end][0]

    def _together(self, numbers: Sequence[int], gap: int) -> list[Run]:
        runs: list[Run] = []
        for number in numbers:
            if runs and self._starts[number][0] - self._starts[runs[-1].end][0] <= gap:
                runs[-1] = Run(runs[-1].first, number + 1)
            else:
                runs.append(Run(number, number + 1))
        return runs

    def wants(self, number: int) -> bool:
        """Return whether a frame holds something that is needed."""
        return next(self._inside(number), None) is not None

    def take(self, number: int, packed: bytes, writer: ContentWriter) -> None:
        """Put what is needed of a frame into the pool. Raises BadIndex and ContentChanged."""
        data = memoryview(self._plain(number, packed))
        start = self._starts[number][1]
        for content in self._inside(number):
            if content.start >= start and content.end <= start + len(data):
                writer.put(content.files, data[content.start - start : content.end - start])
                continue
            with self._lock:
                assembly = self._assemblies.get(content.start)
                if assembly is None:
                    assembly = self._assemblies[content.start] = writer.assemble(content.files)
            begin, end = max(content.start, start), min(content.end, start + len(data))
            if assembly.put(data[begin - start : end - start], begin - content.start):
                assembly.close()
                with self._lock:
                    del self._assemblies[content.start]

    def close(self) -> None:
        """Give up what is not whole."""
        for assembly in self._assemblies.values():
            assembly.close()
        self._assemblies.clear()

    def _inside(self, number: int) -> Iterator[Content]:
        start, end = self._starts[number][1], self._starts[number + 1][1]
        at = bisect_right(self._ends, start)
        while at < len(self._contents) and self._contents[at].start < end:
            yield self._contents[at]
            at += 1

    def _plain(self, number: int, packed: bytes) -> bytes:
        size = self._index.frames[number][1]
        try:
            # The library takes as much memory as the frame says that it needs.
            if frame_content_size(packed) != size:
                raise BadIndex("a frame is of another size")
            data = ZstdDecompressor().decompress(packed, allow_extra_data=False)
        except ZstdError as error:
            raise BadIndex(f"a frame is damaged: {error}") from error
        if len(data) != size:
            raise BadIndex("a frame is of another size")
        return data


class Unpacking:
    """Threads that take contents out of frames, while others are on their way. The first failure ends all."""

    def __init__(self, writer: ContentWriter) -> None:
        workers = max(2, os.cpu_count() or 1)
        self._writer = writer
        self._pool = ThreadPoolExecutor(workers, "unpack")
        self._room = threading.BoundedSemaphore(_WAITING * workers)
        self._failure: BaseException | None = None

    def __enter__(self) -> Unpacking:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=kind is not None)

    def finish(self) -> None:
        """Wait until all is in the pool. Raises BadIndex."""
        self._pool.shutdown()
        self._check()

    def run(self, layer: LayerContents, index: LayerIndex, run: Run, pieces: Iterable[bytes]) -> None:
        """Take a run as it comes. Raises BadIndex and what `pieces` raises."""
        frames = _frames([index.frames[number][0] for number in range(run.first, run.end)], pieces)
        for number, packed in enumerate(frames, run.first):
            self._check()
            if not layer.wants(number):
                continue
            self._room.acquire()
            future = self._pool.submit(layer.take, number, packed, self._writer)
            future.add_done_callback(self._ended)

    def _ended(self, future: Future[None]) -> None:
        self._room.release()
        if not future.cancelled() and (error := future.exception()) is not None:
            self._failure = self._failure or error

    def _check(self) -> None:
        failure = self._failure
        if isinstance(failure, ContentChanged):
            raise BadIndex("a file's content is not what its digest says")
        if failure is not None:
            raise failure


def _frames(sizes: Sequence[int], pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the frames of these sizes out of what comes, which ends with the last one."""
    source = iter(pieces)
    held, at = b"", 0
    for size in sizes:
        if len(held) - at < size:
            parts, have = [held[at:]], len(held) - at
            while have < size:
                piece = next(source, None)
                if piece is None:
                    raise BadIndex("its frames are cut short")
                parts.append(piece)
                have += len(piece)
            held, at = b"".join(parts), 0
        yield held[at : at + size]
        at += size
    for _ in source:  # to its end, so that the connection can be used again
        pass
