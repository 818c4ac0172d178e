"""Brings parts of a blob, as a stream that goes on where a connection broke. Nothing of it is held against the blob's
digest: whoever takes a part holds what is in it against digests of its own."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

from urllib3.exceptions import HTTPError

from envbuild.http.connections import Answer, cause
from envbuild.oci.descriptor import Descriptor
from envbuild.registry.bodies import TooMuch, stream
from envbuild.registry.client import Repository
from envbuild.registry.errors import NotInRegistry, Unreachable

_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,15})-([0-9]{1,15})/([0-9]{1,15}|\*)")


class NoRanges(Exception):
    """A server that gives no parts of a blob, or others than it was asked for. Never leaves a pull."""


def part(repository: Repository, blob: Descriptor, start: int, end: int) -> Iterator[bytes]:
    """Yield the bytes of a blob from `start` to before `end`. Raises NoRanges, NotInRegistry, Unreachable and what
    asking raises."""
    what = f"a part of the blob {blob.digest[:19]}"
    patience = repository.exchange.server.patience
    place = repository.place(f"blobs/{blob.digest}")
    failures, pause, reason = 0, patience.pause, ""
    at = start
    while at < end:
        if failures == patience.attempts:
            raise Unreachable(repository.host, f"{what}: {reason}")
        headers = {"Range": f"bytes={at}-{end - 1}"}
        with repository.exchange.ask("GET", place, what, scopes=repository.scopes, headers=headers) as answer:
            if answer.status == 404:
                raise NotInRegistry(f"{repository.host}/{repository.path}@{blob.digest}", repository.host)
            if answer.status in (200, 416) or (answer.status == 206 and not _is(answer, at, end)):
                raise NoRanges
            repository.exchange.expect(answer, (206,), what)
            before = at
            try:
                for piece in stream(answer, end - at, patience):
                    at += len(piece)
                    yield piece
            except TooMuch:
                raise NoRanges from None
            except HTTPError as error:
                reason = cause(error)
                # Whoever gets on, be it slowly, is not given up.
                gets_on = at - before >= patience.window_bytes
                failures, pause = (0, patience.pause) if gets_on else (failures + 1, min(pause * 2, patience.longest))
                time.sleep(pause)
                continue
        if at < end:
            raise NoRanges


def _is(answer: Answer, start: int, end: int) -> bool:
    """Return whether an answer says that it is the part that was asked for."""
    said = _CONTENT_RANGE.fullmatch(answer.header("Content-Range").strip())
    return said is not None and (int(said.group(1)), int(said.group(2)) + 1) == (start, end)
