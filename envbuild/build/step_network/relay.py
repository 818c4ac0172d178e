"""Passes the bodies of HTTP messages on, and the bytes of tunnels."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from envbuild.build.step_network.http_head import CHUNKED, MAX_HEAD, TO_THE_END, Malformed, chunk_size

PIECE = 256 << 10
IDLE_SECONDS = 600.0
"""How long either side may say nothing: a server can take minutes to put an answer together."""
MAX_CHUNK_LINE = 4096


class Cut(Exception):
    """A message ended before it was whole."""


async def body(reader: asyncio.StreamReader, length: int) -> AsyncIterator[tuple[bytes, bool]]:
    """Yield the pieces of a body, without the marks of its chunks, each with whether it is the last; the last one may
    be empty. Raises Cut, Malformed, TimeoutError and OSError."""
    if length == CHUNKED:
        async for piece in _chunks(reader):
            yield piece, False
        yield b"", True
    elif length == TO_THE_END:
        while piece := await _some(reader, PIECE):
            yield piece, False
        yield b"", True
    else:
        left = length
        while left:
            piece = await _some(reader, min(left, PIECE))
            if not piece:
                raise Cut
            left -= len(piece)
            yield piece, not left
        if not length:
            yield b"", True


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while size := chunk_size(await _line(reader)):
        async for piece, _ in body(reader, size):
            yield piece
        if await _line(reader) != b"\r\n":
            raise Malformed("a chunk is longer than it says", 502)
    read = 0
    while (line := await _line(reader)) != b"\r\n":  # fields after the body, which nobody here wants
        read += len(line)
        if read > MAX_HEAD:
            raise Malformed("too much follows the last chunk", 502)


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        async with asyncio.timeout(IDLE_SECONDS):
            line = await reader.readuntil(b"\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        raise Cut from None
    if len(line) > MAX_CHUNK_LINE:
        raise Malformed("the line of a chunk is too long", 502)
    return line


async def _some(reader: asyncio.StreamReader, most: int) -> bytes:
    async with asyncio.timeout(IDLE_SECONDS):
        return await reader.read(most)


async def drain(writer: asyncio.StreamWriter) -> None:
    """Wait until the other side has taken most of what was written. Raises TimeoutError if it takes nothing."""
    async with asyncio.timeout(IDLE_SECONDS):
        await writer.drain()


async def tunnel(
    client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
) -> None:
    """Pass bytes on in both directions until both have ended, one breaks, or nothing moves any more."""
    moved = [0]
    tasks = {
        asyncio.ensure_future(_pass_on(client[0], server[1], moved)),
        asyncio.ensure_future(_pass_on(server[0], client[1], moved)),
    }
    pending = tasks
    try:
        while pending:
            before = moved[0]
            done, pending = await asyncio.wait(pending, timeout=IDLE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if any(task.exception() is not None for task in done) or (not done and moved[0] == before):
                return
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, moved: list[int]) -> None:
    while piece := await reader.read(PIECE):
        moved[0] += 1
        writer.write(piece)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
