"""Sends a blob to a registry: taken over from another repository, in one request, or in pieces that can be continued
(distribution specification, "Pushing blobs")."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import IO, cast
from urllib.parse import quote

from envbuild.http.addresses import BadAddress, WebAddress
from envbuild.http.connections import Answer
from envbuild.registry.client import Repository
from envbuild.registry.download import Stopped
from envbuild.registry.errors import BadAnswer, Denied, RegistryRefuses, Unauthorized, Unreachable
from envbuild.registry.reference import PULL
from envbuild.registry.server import Place

WHOLE = 32 << 20
"""Bytes of a blob that is sent in one request."""
PIECE = 16 << 20
_MOST_PIECE = 512 << 20
_RANGE = re.compile(r"(?:bytes=)?0-([0-9]{1,15})")
_OCTETS = "application/octet-stream"


class Source:
    """The bytes of a blob: in memory, or a file. `tell` gets how many were sent, and returns whether to go on."""

    def __init__(self, digest: str, size: int, open_it: Callable[[], IO[bytes]], tell: Callable[[int], bool]) -> None:
        self.digest = digest
        self.size = size
        self.open = open_it
        self.tell = tell


class _Range:
    """A part of a blob as the body of a request."""

    def __init__(self, source: Source, start: int, end: int) -> None:
        self._file = source.open()
        self._file.seek(start)
        self._at = start
        self._end = end
        self._source = source

    def read(self, size: int = -1) -> bytes:
        """Return at most so many bytes."""
        left = self._end - self._at
        data = self._file.read(left if size is None or size < 0 else min(size, left)) if left else b""
        self._at += len(data)
        if not self._source.tell(self._at):
            raise Stopped
        if not data:
            self._file.close()
        return data


def _part(source: Source, start: int, end: int) -> Callable[[], IO[bytes]]:
    # It is only ever read from.
    return lambda: cast(IO[bytes], _Range(source, start, end))


def mount(repository: Repository, digest: str, other: str) -> bool:
    """Have the registry take a blob over from another of its repositories, and return whether it did. Raises
    Unreachable and BadAnswer."""
    exchange = repository.exchange
    query = f"?mount={quote(digest, safe='')}&from={quote(other, safe='')}"
    place = repository.place(f"blobs/uploads/{query}")
    scopes = (*repository.scopes, f"repository:{other}:{PULL}")
    what = f"take the blob {digest[:19]} over from {other}"
    try:
        with exchange.ask("POST", place, what, scopes=scopes, headers={"Content-Length": "0"}) as answer:
            if answer.status == 202 and answer.header("Location"):
                _end(repository, exchange.server.place(answer.header("Location"), place, answer))
            return answer.status == 201
    except (Unauthorized, Denied, RegistryRefuses):
        return False  # whoever may not read there sends it


def upload(repository: Repository, source: Source) -> None:
    """Send a blob that the registry lacks. Raises BadAnswer, Stopped, OSError and what asking raises."""
    what = f"push the blob {source.digest[:19]}"
    patience = repository.exchange.server.patience
    pause = patience.pause
    for attempt in range(1, patience.attempts + 1):
        try:
            if source.size <= WHOLE or not _in_pieces(repository, source, what):
                _whole(repository, source, _session(repository, what)[0], what)
            return
        except Unreachable:
            if attempt == patience.attempts:
                raise
        except RegistryRefuses as error:
            # A session that the registry does not know any more is begun anew.
            if attempt == patience.attempts or (error.status < 500 and error.status not in (404, 408, 416, 429)):
                raise
        time.sleep(pause)
        pause *= 2


def _session(repository: Repository, what: str) -> tuple[Place, int]:
    """Begin an upload; return where it goes, and the bytes that each piece but the last has at least."""
    place = repository.place("blobs/uploads/")
    exchange = repository.exchange
    with exchange.ask("POST", place, what, scopes=repository.scopes, headers={"Content-Length": "0"}) as answer:
        exchange.expect(answer, (202,), what)
        least = answer.header("OCI-Chunk-Min-Length")
        return (
            _next(repository, place, answer, what),
            int(least) if least.isascii() and least.isdigit() and len(least) < 12 else 0,
        )


def _whole(repository: Repository, source: Source, place: Place, what: str) -> None:
    headers = {"Content-Type": _OCTETS, "Content-Length": str(source.size)}
    exchange = repository.exchange
    with exchange.ask(
        "PUT",
        _with_digest(place, source.digest),
        what,
        scopes=repository.scopes,
        headers=headers,
        body=_part(source, 0, source.size),
        attempts=1,
    ) as answer:
        exchange.expect(answer, (201, 204), what)


def _in_pieces(repository: Repository, source: Source, what: str) -> bool:
    """Send a large blob piece by piece; return whether the registry takes pieces."""
    exchange = repository.exchange
    place, least = _session(repository, what)
    size = max(PIECE, least)
    if size > _MOST_PIECE:
        return False
    at = 0
    failures = 0
    while at < source.size:
        end = min(at + size, source.size)
        headers = {
            "Content-Type": _OCTETS,
            "Content-Length": str(end - at),
            "Content-Range": f"{at}-{end - 1}",
        }
        try:
            with exchange.ask(
                "PATCH",
                place,
                what,
                scopes=repository.scopes,
                headers=headers,
                body=_part(source, at, end),
                attempts=1,
            ) as answer:
                if at == 0 and answer.status in (404, 405, 415, 501):
                    return False
                exchange.expect(answer, (202, 204), what)
                place = _next(repository, place, answer, what)
                reached = _reached(answer)
                at = end if reached is None else reached
        except (Unreachable, RegistryRefuses) as error:
            failures += 1
            if failures >= exchange.server.patience.attempts:
                raise
            if isinstance(error, RegistryRefuses) and error.status < 500 and error.status not in (408, 416, 429):
                raise
            time.sleep(exchange.server.patience.pause * 2**failures)
            place, at = _continued(repository, place, what)
        if not 0 <= at <= source.size:
            raise BadAnswer(repository.host, what, "it has more of it than was sent")
    headers = {"Content-Type": _OCTETS, "Content-Length": "0"}
    with exchange.ask(
        "PUT", _with_digest(place, source.digest), what, scopes=repository.scopes, headers=headers, attempts=1
    ) as answer:
        exchange.expect(answer, (201, 204), what)
    return True


def _continued(repository: Repository, place: Place, what: str) -> tuple[Place, int]:
    """Return where an upload that broke off goes on."""
    exchange = repository.exchange
    with exchange.ask("GET", place, what, scopes=repository.scopes) as answer:
        exchange.expect(answer, (200, 204), what)
        reached = _reached(answer)
        return _next(repository, place, answer, what), reached or 0


def _reached(answer: Answer) -> int | None:
    """Return how many bytes a registry has of an upload, None if it doesn't say."""
    said = _RANGE.fullmatch(answer.header("Range").strip())
    if said is None:
        return None
    # "0-0" is said of nothing and of one byte, and no piece has one byte.
    last = int(said.group(1))
    return last + 1 if last else 0


def _next(repository: Repository, place: Place, answer: Answer, what: str) -> Place:
    location = answer.header("Location")
    if not location:
        raise BadAnswer(repository.host, what, "it does not say where to send it")
    return repository.exchange.server.place(location, place, answer)


def _with_digest(place: Place, digest: str) -> Place:
    mark = "&" if place.address.parts.query else "?"
    try:
        return place.replace(address=WebAddress(f"{place.address}{mark}digest={quote(digest, safe='')}"))
    except BadAddress as error:
        raise AssertionError from error


def _end(repository: Repository, place: Place) -> None:
    """Give an upload up that is not needed."""
    exchange = repository.exchange
    try:
        with exchange.ask("DELETE", place, "end an upload", scopes=repository.scopes, attempts=1):
            pass
    except (Unreachable, Unauthorized, Denied):
        pass
