"""Requests to servers, within limits: of where a server may send us, and of how much we take from it."""

from __future__ import annotations

import re
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from typing import IO
from urllib.parse import urljoin
from urllib.request import getproxies, proxy_bypass

from urllib3 import BaseHTTPResponse, HTTPConnectionPool, HTTPSConnectionPool, PoolManager, ProxyManager, Retry, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, MaxRetryError, NameResolutionError, NewConnectionError, SSLError
from urllib3.util.connection import create_connection

from envbuild.http.addresses import BadAddress, WebAddress, without_user
from envbuild.http.authorities import Authorities
from envbuild.http.reach import Level, level_of, level_of_name
from envbuild.http.timed_response import TimedResponse
from envbuild.http.transport import Transport

MAX_PARALLEL = 8
TIMEOUT = 60.0
MAX_REDIRECTS = 8
MAX_PAGE = 64 << 20
"""Bytes of a page of an index or of a registry's document, when it is unpacked."""
PAGE_SECONDS = 300.0
_CHUNK = 1 << 18
_REDIRECTS = (301, 302, 303, 307, 308)
_CONNECTION = re.compile(r"^(?:.*>: |\w+\(host=[^()]*\): )")


class Refused(HTTPError):
    """A server sent us where it has no business to."""


class TooLarge(HTTPError):
    """A server sends more than we take."""

    def __init__(self, most: int) -> None:
        super().__init__(f"it is larger than {most} bytes")
        self.most = most


class Answer:
    """A server's answer, whose body is not read yet. `level` is where the server lies. Use it as a context manager."""

    def __init__(self, response: BaseHTTPResponse, address: WebAddress, level: Level) -> None:
        self._response = response
        self.address = address
        self.level = level
        self.status = response.status
        self.reason = response.reason or ""

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *_: object) -> None:
        # What was read to its end has given its connection back already.
        self._response.close()

    @property
    def length(self) -> int:
        """The bytes that the server means to send, 0 where it doesn't say."""
        text = self._response.headers.get("Content-Length") or ""
        return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0

    def header(self, name: str) -> str:
        return self._response.headers.get(name) or ""

    def stream(self) -> Iterator[bytes]:
        """Return the body as it was sent. Raises urllib3's HTTPError where the connection breaks."""
        return self._response.stream(_CHUNK, decode_content=False)

    def pieces(self) -> Iterator[bytes]:
        """Return the body as it comes, so that a slow server can be told from one that sends nothing."""
        read = getattr(self._response, "read1", self._response.read)  # urllib3 2.1 has no read1
        return iter(lambda: read(_CHUNK, decode_content=False), b"")

    def page(self, most: int = MAX_PAGE) -> bytes:
        """Return the whole body, unpacked. Raises TooLarge, and HTTPError for a packing that we did not ask for."""
        packing = self.header("Content-Encoding").strip().lower()
        if packing not in ("", "identity", "gzip", "x-gzip"):
            raise HTTPError(f"it is packed as {packing[:40]!r}, which nobody asked for")
        unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS) if "gzip" in packing else None
        end = time.monotonic() + PAGE_SECONDS
        pieces: list[bytes] = []
        size = received = 0
        for piece in self.pieces():
            received += len(piece)
            if received > most:
                raise TooLarge(most)  # also of what unpacks to nothing, or comes behind the end
            if unpacker is not None:
                try:
                    piece = unpacker.decompress(piece, most + 1 - size)
                except zlib.error as error:
                    raise HTTPError(f"its gzip data is damaged: {error}") from error
            size += len(piece)
            if size > most:
                raise TooLarge(most)
            if time.monotonic() > end:
                raise HTTPError(f"it is not whole after {PAGE_SECONDS:.0f} seconds")
            pieces.append(piece)
        if unpacker is not None and not unpacker.eof:
            raise HTTPError("its gzip data ends too early")
        return b"".join(pieces)


class Connections:
    """Connections that are kept open between files: the first request of one can be a slow one."""

    def __init__(
        self,
        transport: Transport,
        timeout: Timeout | None = None,
        authorities: Authorities | None = None,
        loopback_direct: bool = False,
    ) -> None:
        """`timeout` is how long a server may take to let us in and to send the next bytes, by default TIMEOUT.
        `authorities` are whom to trust and what to show, by default those that `transport` names. With
        `loopback_direct` no proxy is asked for what is on this machine."""
        self._transport = transport
        self._authorities = authorities
        self._loopback_direct = loopback_direct
        self._timeout = timeout or Timeout(TIMEOUT)
        self._pools: dict[tuple[str, Level | None, bool], PoolManager] = {}
        self._making = threading.Lock()

    def open(self, address: str, headers: Mapping[str, str], giver: Level | None = None, method: str = "GET") -> Answer:
        """Return the answer to a request, after the redirects that are followed. `giver` is where that lies which
        named the address, None for the user and the recipe. Raises urllib3's HTTPError; Refused for what may not be
        asked."""
        for _ in range(MAX_REDIRECTS):
            asked = _checked(without_user(address))
            answer = self.send(asked, headers, giver, method)
            location = answer.header("Location") if answer.status in _REDIRECTS else ""
            if not location:
                return answer
            with answer:
                giver = answer.level
            address = urljoin(asked, location)
            if asked.startswith("https:") and _checked(address).startswith("http:"):
                raise Refused(f"it was sent on from https to {_host(address)} without encryption")
        raise Refused(f"it was sent on more than {MAX_REDIRECTS} times")

    def read(self, address: str, headers: Mapping[str, str], giver: Level | None = None) -> Page:
        """Return a small document, such as an index page. Raises urllib3's HTTPError."""
        with self.open(address, {"Accept-Encoding": "gzip", **headers}, giver) as answer:
            return Page(answer.status, answer.page() if answer.status == 200 else b"", answer.address, answer.level)

    def send(
        self,
        address: WebAddress,
        headers: Mapping[str, str],
        giver: Level | None = None,
        method: str = "GET",
        body: bytes | IO[bytes] | None = None,
    ) -> Answer:
        """Return the answer to one request, whatever it is. Raises as `open` does."""
        own = {name: value for start, name, value in self._transport.headers if address.startswith(start)}
        proxy = self._proxy(address)
        named = level_of_name(address.host)
        # A proxy resolves names by itself; where it finds them is its own business.
        if giver is not None and not giver.admits(named):
            raise _refusal(address.host, named, giver)
        encrypted = address.startswith("https:") or proxy.startswith("https:")
        pool, authorities = self._pool(proxy, giver, encrypted)

        def ask() -> BaseHTTPResponse:
            return pool.request(
                method,
                address,
                body=body,
                headers={"User-Agent": "envbuild", **own, **headers},
                preload_content=False,
                redirect=False,
                retries=Retry(total=None, connect=0, read=0, redirect=0, status=0, other=0, raise_on_status=False),
            )

        in_part = authorities is not None and not authorities.are_complete
        try:
            response = ask()
        except MaxRetryError as error:
            if authorities is None or not in_part or not is_untrusted(error):
                raise
            authorities.complete()
            response = ask()  # nothing was sent yet
        level = named if proxy else getattr(response.connection, "level", named)
        return Answer(response, address, level)

    def _proxy(self, address: WebAddress) -> str:
        scheme, host, port = address.server
        proxies = dict(self._transport.proxies) or getproxies()
        known = proxies.get(scheme) or proxies.get("all", "")
        if self._loopback_direct and level_of_name(host) is Level.LOOPBACK:
            return ""
        return "" if not known or proxy_bypass(f"{host}:{port}") else known

    def _pool(self, proxy: str, giver: Level | None, encrypted: bool) -> tuple[PoolManager, Authorities | None]:
        """Return the connections to such servers, and whom they trust where they are encrypted."""
        with self._making:
            if encrypted and self._authorities is None:
                self._authorities = Authorities(self._transport.bundle)
            authorities = self._authorities if encrypted else None
            if (proxy, giver, encrypted) not in self._pools:
                context = None if authorities is None else authorities.context
                timeout = self._timeout
                if proxy:
                    made: PoolManager = ProxyManager(proxy, maxsize=MAX_PARALLEL, timeout=timeout, ssl_context=context)
                    made.pool_classes_by_scheme = _BY_PROXY
                else:
                    made = PoolManager(maxsize=MAX_PARALLEL, timeout=timeout, ssl_context=context)
                    made.pool_classes_by_scheme = _pools_of(giver)
                self._pools[proxy, giver, encrypted] = made
            return self._pools[proxy, giver, encrypted], authorities


class Page:
    """A small document: its status, content, and where it came from in the end."""

    __slots__ = ("address", "content", "level", "status")

    def __init__(self, status: int, content: bytes, address: str, level: Level) -> None:
        self.status = status
        self.content = content
        self.address = address
        self.level = level


def _checked(address: str) -> WebAddress:
    try:
        return WebAddress(address)
    except BadAddress as error:
        raise Refused(error.message) from None


def _host(address: str) -> str:
    return WebAddress(address).host


def _refusal(host: str, level: Level, giver: Level) -> Refused:
    return Refused(f"a {giver.words} server may not send us to {host}, which is a {level.words} address")


def _connect(connection: HTTPConnection, giver: Level | None) -> tuple[socket.socket, Level]:
    """Return a connection to the first address of the host that answers, of those that `giver` may send us to. The
    name is resolved once, so that what was looked at is what is asked."""
    host = connection.host.strip("[]")
    try:
        resolved = socket.getaddrinfo(host, connection.port, 0, socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise NameResolutionError(host, connection, error) from error
    except UnicodeError:
        raise Refused(f"{host[:100]!r} is not a host") from None
    addresses = list(dict.fromkeys(str(row[4][0]) for row in resolved))
    admitted = [address for address in addresses if giver is None or giver.admits(level_of(address))]
    if not admitted:
        assert giver is not None
        raise _refusal(host, max(map(level_of, addresses)), giver)
    failure: OSError | None = None
    for address in admitted:
        try:
            made = create_connection(
                (address, connection.port), connection.timeout, socket_options=connection.socket_options
            )
            return made, level_of(address)
        except OSError as error:
            failure = error
    raise NewConnectionError(connection, f"Failed to establish a new connection: {failure}") from failure


class _PlainConnection(HTTPConnection):
    response_class = TimedResponse


class _EncryptedConnection(HTTPSConnection):
    response_class = TimedResponse


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _EncryptedPool(HTTPSConnectionPool):
    ConnectionCls = _EncryptedConnection


_BY_PROXY = {"http": _PlainPool, "https": _EncryptedPool}
"""Pools whose connections lead where a proxy leads."""


def _pools_of(giver: Level | None) -> dict[str, type[HTTPConnectionPool]]:
    """Return the kinds of pools whose connections lead only to where `giver` may send us."""

    class Plain(_PlainConnection):
        level = Level.PUBLIC

        def _new_conn(self) -> socket.socket:
            made, self.level = _connect(self, giver)
            return made

    class Encrypted(_EncryptedConnection):
        level = Level.PUBLIC

        def _new_conn(self) -> socket.socket:
            made, self.level = _connect(self, giver)
            return made

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class EncryptedPool(HTTPSConnectionPool):
        ConnectionCls = Encrypted

    return {"http": PlainPool, "https": EncryptedPool}


def is_untrusted(error: MaxRetryError) -> bool:
    """Return whether a connection broke because of the server's certificate."""
    kinds = (ssl.SSLCertVerificationError, ssl.CertificateError)
    return isinstance(error.reason, SSLError) and any(isinstance(part, kinds) for part in error.reason.args)


def cause(error: BaseException) -> str:
    """Return what a user wants to know of an error that was wrapped again and again."""
    reason = getattr(error, "reason", None)
    if isinstance(reason, BaseException):
        return cause(reason)
    # urllib3 begins with the connection's own text: `<...>: ` or, from 2.3 on, `Name(host='...', port=443): `.
    return _CONNECTION.sub("", str(error))
