"""Connections to the hosts that a step asks for: names are resolved here, and each address is looked at before it is
connected to."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable

from envbuild.build.step_network.access import Access
from envbuild.build.step_network.http_head import MAX_HEAD, Malformed, read_response
from envbuild.build.step_network.machine import BadProxy, Machine, Upstream
from envbuild.language.network_hosts import bracketed, is_address

BUFFER = 256 << 10
CONNECT_SECONDS = 15.0
RESOLVE_SECONDS = 60.0
MAX_ADDRESSES = 8
"""Of one name that are tried."""
MAX_LOOKUPS = 8
"""Names that are looked up at a time."""

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class NotAllowed(Exception):
    """The host leads to where the step may not go."""


class NotReached(Exception):
    """Nothing answers there."""


class Connected:
    """A connection. `upstream` is the machine's proxy that it leads to, None where it is the host itself."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, upstream: Upstream | None) -> None:
        self.reader = reader
        self.writer = writer
        self.upstream = upstream

    def close(self) -> None:
        self.writer.transport.abort()


class Connector:
    """Connects for one step."""

    def __init__(self, access: Access, machine: Machine) -> None:
        self._access = access
        self._machine = machine
        self._lookups = asyncio.Semaphore(MAX_LOOKUPS)

    async def plain(self, host: str, port: int) -> Connected:
        """Return a connection on which a host, or a proxy for it, is asked over HTTP. Raises NotAllowed, NotReached."""
        upstream = self._upstream("http", host, port)
        if upstream is not None:
            return await self._to_proxy(upstream)
        return Connected(*await self._to_host(host, port), None)

    async def tunnel(self, host: str, port: int) -> Connected:
        """Return a connection whose other end is the host, also where a proxy lies between. Raises NotAllowed and
        NotReached."""
        upstream = self._upstream("https", host, port)
        if upstream is None:
            return Connected(*await self._to_host(host, port), None)
        connected = await self._to_proxy(upstream)
        try:
            async with asyncio.timeout(RESOLVE_SECONDS):
                await _through(connected, upstream, f"{bracketed(host)}:{port}")
        except (OSError, EOFError, TimeoutError, Malformed, asyncio.LimitOverrunError) as error:
            connected.close()
            raise NotReached(f"this machine's proxy answers: {error or type(error).__name__}") from error
        except BaseException:
            connected.close()
            raise
        return connected

    def _upstream(self, scheme: str, host: str, port: int) -> Upstream | None:
        try:
            return self._machine.upstream(scheme, host, port)
        except BadProxy as error:
            raise NotReached(error.message) from error

    async def _to_proxy(self, upstream: Upstream) -> Connected:
        addresses = await self._resolve(upstream.host, upstream.port)
        reader, writer = await _first(addresses, upstream.port, upstream.host if upstream.encrypted else "")
        return Connected(reader, writer, upstream)

    async def _to_host(self, host: str, port: int) -> Streams:
        addresses = [host] if is_address(host) else await self._resolve(host, port)
        reasons = {address: self._access.refusal_of_address(host, port, address) for address in addresses}
        admitted = [address for address in addresses if not reasons[address]]
        if not admitted:
            address = addresses[0]
            reason = reasons[address].removeprefix("it ")
            raise NotAllowed(reasons[address] if address == host else f"its address {address} {reason}")
        return await _first(admitted, port, "")

    async def _resolve(self, host: str, port: int) -> list[str]:
        """Return the addresses of a name, which the machine's own resolver knows."""
        async with self._lookups:
            loop = asyncio.get_running_loop()
            answer: asyncio.Future[list[str]] = loop.create_future()
            # Not of a pool: Python waits for the threads of pools at its end, and a name can take a minute.
            threading.Thread(target=_look_up, args=(host, port, loop, answer), name="look up", daemon=True).start()
            try:
                async with asyncio.timeout(RESOLVE_SECONDS):
                    return await answer
            except TimeoutError:
                raise NotReached(f"{host} is not resolved after {RESOLVE_SECONDS:.0f} seconds") from None


def _look_up(host: str, port: int, loop: asyncio.AbstractEventLoop, answer: asyncio.Future[list[str]]) -> None:
    done: Callable[[], None]
    try:
        rows = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(row[4][0]) for row in rows))[:MAX_ADDRESSES]
        done = _setter(answer, addresses, None)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        done = _setter(answer, [], NotReached(f"{host} can't be resolved: {reason}"))
    try:
        loop.call_soon_threadsafe(done)
    except RuntimeError:
        pass  # the step is over


def _setter(answer: asyncio.Future[list[str]], addresses: list[str], error: Exception | None) -> Callable[[], None]:
    def done() -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(addresses)

    return done


async def _first(addresses: list[str], port: int, encrypted_for: str) -> Streams:
    """Return a connection to the first address that answers."""
    failure: Exception = NotReached("it has no address")
    loop = asyncio.get_running_loop()
    for address in addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        made = socket.socket(family, socket.SOCK_STREAM)
        try:
            made.setblocking(False)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            async with asyncio.timeout(CONNECT_SECONDS):
                await loop.sock_connect(made, (address, port))
                context = ssl.create_default_context() if encrypted_for else None
                return await asyncio.open_connection(
                    sock=made, limit=BUFFER, ssl=context, server_hostname=encrypted_for or None
                )
        except (OSError, TimeoutError, OverflowError) as error:
            made.close()
            failure = error
        except BaseException:
            made.close()
            raise
    if isinstance(failure, OSError) and failure.strerror:
        raise NotReached(failure.strerror) from failure
    raise NotReached("it does not answer" if isinstance(failure, TimeoutError) else str(failure)) from failure


async def _through(connected: Connected, upstream: Upstream, server: str) -> None:
    """Have a proxy connect to a server."""
    fields = f"Proxy-Authorization: {upstream.credentials}\r\n" if upstream.credentials else ""
    connected.writer.write(f"CONNECT {server} HTTP/1.1\r\nHost: {server}\r\n{fields}\r\n".encode("ascii"))
    head = await connected.reader.readuntil(b"\r\n\r\n")
    if len(head) > MAX_HEAD:
        raise Malformed("its head is too long", 502)
    answer = read_response(head, "HEAD")
    if not 200 <= answer.status < 300:
        raise Malformed(f"{answer.status} {answer.reason}", 502)
