"""The proxy of one step: CONNECT by name, and plain HTTP; nothing is decrypted, and nothing else passes."""

from __future__ import annotations

import asyncio
from hashlib import sha256

from envbuild.build.step_network.access import Access, host_and_port
from envbuild.build.step_network.connect import Connected, Connector, NotAllowed, NotReached
from envbuild.build.step_network.http_head import (
    CHUNKED,
    MAX_HEAD,
    TO_THE_END,
    Malformed,
    RequestHead,
    ResponseHead,
    read_request,
    read_response,
)
from envbuild.build.step_network.machine import Machine
from envbuild.build.step_network.relay import IDLE_SECONDS, Cut, body, drain, tunnel
from envbuild.build.step_network.traffic import Traffic
from envbuild.language.network_hosts import bracketed

MAX_CONNECTIONS = 128
"""Of one step at a time."""
HEAD_SECONDS = 60.0
"""How long the head of a request may take from the end of the one before."""
SENT_SECONDS = 1.0
"""How long a client may still send what a server has answered already."""
_END = b"\r\n\r\n"
_BROKEN = (OSError, EOFError, TimeoutError, Cut, asyncio.LimitOverrunError)


class Proxy:
    """Answers one step. All methods belong to one event loop."""

    def __init__(self, access: Access, machine: Machine, traffic: Traffic) -> None:
        self._access = access
        self._traffic = traffic
        self._connector = Connector(access, machine)
        self._open = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one client until it goes. Whatever it does is no error of ours."""
        self._open += 1
        client = _Client(reader, writer)
        try:
            if self._open > MAX_CONNECTIONS:
                await client.refuse(503, f"this step has {MAX_CONNECTIONS} connections already")
                return
            while await self._answer(client):
                pass
        except _BROKEN:
            pass
        finally:
            self._open -= 1
            client.end()

    async def serve_door(
        self, host: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Connect one client to a server of the list that it means by its name. Whatever it does is no error of
        ours."""
        self._open += 1
        try:
            if self._open > MAX_CONNECTIONS:
                return
            self._traffic.ask(host, port)
            server = await self._connector.tunnel(host, port)
            try:
                await tunnel((reader, writer), (server.reader, server.writer))
            finally:
                server.close()
        except NotAllowed as error:
            self._traffic.refuse(host, port, str(error))
        except (NotReached, *_BROKEN):
            pass
        finally:
            self._open -= 1
            writer.close()

    async def _answer(self, client: _Client) -> bool:
        """Answer one request; return whether there may be another one."""
        try:
            head = await client.read_head()
            if head is None:
                return False
            request = read_request(head)
        except Malformed as error:
            await client.refuse(error.status, error.reason)
            return False
        refusal = self._access.refusal(request.host, request.port)
        if refusal:
            return await self._refuse(client, request, refusal)
        self._traffic.ask(request.host, request.port)
        try:
            if not request.scheme:
                await self._tunnel(client, request)
                return False
            return await self._pass_on(client, request)
        except NotAllowed as error:
            return await self._refuse(client, request, str(error))
        except NotReached as error:
            return await client.refuse(502, f"{host_and_port(request.host, request.port)}: {error}", request)

    async def _refuse(self, client: _Client, request: RequestHead, reason: str) -> bool:
        self._traffic.refuse(request.host, request.port, reason)
        return await client.refuse(403, f"{host_and_port(request.host, request.port)} is refused: {reason}", request)

    async def _tunnel(self, client: _Client, request: RequestHead) -> None:
        server = await self._connector.tunnel(request.host, request.port)
        try:
            client.writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            await tunnel((client.reader, client.writer), (server.reader, server.writer))
        finally:
            server.close()

    async def _pass_on(self, client: _Client, request: RequestHead) -> bool:
        """Have a server answer a request over plain HTTP; return whether the client may send another one."""
        server = client.take_server(request.host, request.port)
        known = server is not None
        if server is None:
            server = await self._connector.plain(request.host, request.port)
        sending: asyncio.Task[None] | None = None
        try:
            server.writer.write(_request_bytes(request, server))
            if request.length:
                if request.expects:
                    client.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                sending = asyncio.ensure_future(_send_body(client, server, request.length))
            try:
                answer = await _answer_while_sending(server, request.method, sending)
            except _BROKEN as error:
                if not known or sending is not None or isinstance(error, TimeoutError):
                    raise
                # A server may close a connection that was kept, and nobody knows whether before or after the request.
                server.close()
                server = await self._connector.plain(request.host, request.port)
                server.writer.write(_request_bytes(request, server))
                answer = await _read_answer(server, request.method)
            keeps = await self._return(client, request, server, answer)
            if sending is not None and not await _is_sent(sending):
                return False  # it was answered before it had said all: where the next request begins is unclear
            if keeps and answer.keeps:
                client.keep_server(request.host, request.port, server)
                server = None
            return keeps
        except Malformed as error:
            if not client.answering:
                await client.refuse(502, f"{host_and_port(request.host, request.port)}: {error.reason}")
            return False
        except _BROKEN:
            if not client.answering:
                await client.refuse(502, f"{host_and_port(request.host, request.port)}: the connection broke")
            return False
        finally:
            if sending is not None:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
            if server is not None:
                server.close()

    async def _return(self, client: _Client, request: RequestHead, server: Connected, answer: ResponseHead) -> bool:
        """Give an answer to the client, noted before its last piece: who has it all may end the step at once."""
        known = answer.length not in (CHUNKED, TO_THE_END)
        keeps = request.keeps and (known or request.modern)
        client.begin(_answer_bytes(answer, request, keeps=keeps, chunks=not known and request.modern))
        digest, size = sha256(), 0
        async for piece, last in body(server.reader, answer.length):
            digest.update(piece)
            size += len(piece)
            if last and request.method != "HEAD":
                address = f"http://{bracketed(request.host)}{_port(request)}{request.target}"
                self._traffic.answer(request.method, address, answer.status, digest.hexdigest(), size)
            if piece and not known and request.modern:
                client.writer.writelines((b"%x\r\n" % len(piece), piece, b"\r\n"))
            elif piece:
                client.writer.write(piece)
            await drain(client.writer)
        if not known and request.modern:
            client.writer.write(b"0\r\n\r\n")
        client.answering = False
        return keeps


class _Client:
    """A connection of the step's. A server that was asked for it is kept for its next request."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.answering = False
        self._server: tuple[str, int, Connected] | None = None

    async def read_head(self) -> bytes | None:
        """Return the head of the next request, None at the end. Raises Malformed."""
        try:
            async with asyncio.timeout(HEAD_SECONDS):
                head = b"\r\n"
                while head == b"\r\n":  # some send an empty line after a body (RFC 9112, 2.2)
                    head = await self.reader.readuntil(b"\r\n")
                if len(head) > MAX_HEAD:
                    raise Malformed("the first line is too long", 431)
                while not head.endswith(_END):
                    head += await self.reader.readuntil(b"\r\n")
                    if len(head) > MAX_HEAD:
                        raise Malformed("the head is too long", 431)
                return head
        except asyncio.LimitOverrunError:
            raise Malformed("the head is too long", 431) from None
        except TimeoutError:
            return None
        except asyncio.IncompleteReadError as error:
            if error.partial.strip():
                raise Malformed("the head is not whole") from None
            return None

    def take_server(self, host: str, port: int) -> Connected | None:
        """Return the server of the last request if it is the one that is asked now, and is there still."""
        kept, self._server = self._server, None
        if kept is None:
            return None
        if kept[:2] == (host, port) and not kept[2].reader.at_eof() and not kept[2].writer.is_closing():
            return kept[2]
        kept[2].close()
        return None

    def keep_server(self, host: str, port: int, server: Connected) -> None:
        self._server = host, port, server

    def begin(self, head: bytes) -> None:
        """Send the head of an answer."""
        self.answering = True
        self.writer.write(head)

    async def refuse(self, status: int, reason: str, request: RequestHead | None = None) -> bool:
        """Answer that a request is not passed on, and why; return whether there may be another one."""
        reason = reason.encode("ascii", "backslashreplace").decode()
        text = f"envbuild: {reason}\n".encode("ascii")
        # What follows a request with a body, or one that could not be read, is not a request.
        keeps = request is not None and request.keeps and not request.length and bool(request.scheme)
        self.writer.write(
            f"HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain\r\nContent-Length: {len(text)}\r\n"
            f"Connection: {'keep-alive' if keeps else 'close'}\r\n\r\n".encode("ascii")
        )
        if request is None or request.method != "HEAD":
            self.writer.write(text)
        await drain(self.writer)
        return keeps

    def end(self) -> None:
        """Close both sides; what was written is still delivered."""
        if self._server is not None:
            self._server[2].close()
        if self.answering:
            self.writer.transport.abort()  # so that a cut answer doesn't look like a whole one
        else:
            self.writer.close()


async def _send_body(client: _Client, server: Connected, length: int) -> None:
    async for piece, _ in body(client.reader, length):
        if length == CHUNKED and piece:
            server.writer.writelines((b"%x\r\n" % len(piece), piece, b"\r\n"))
        elif piece:
            server.writer.write(piece)
        await drain(server.writer)
    if length == CHUNKED:
        server.writer.write(b"0\r\n\r\n")


async def _answer_while_sending(server: Connected, method: str, sending: asyncio.Task[None] | None) -> ResponseHead:
    """Return the answer to a request whose body may still be on its way. Raises what is wrong with that body."""
    if sending is None:
        return await _read_answer(server, method)
    reading = asyncio.ensure_future(_read_answer(server, method))
    try:
        await asyncio.wait({sending, reading}, return_when=asyncio.FIRST_COMPLETED)
        if sending.done() and not reading.done() and isinstance(error := sending.exception(), Malformed | Cut):
            raise error
        # A server may take no more, and say why.
        return await reading
    finally:
        reading.cancel()


async def _is_sent(sending: asyncio.Task[None]) -> bool:
    """Return whether all of a body went out: only then is what follows it a request."""
    await asyncio.wait({sending}, timeout=SENT_SECONDS)
    return sending.done() and not sending.cancelled() and sending.exception() is None


async def _read_answer(server: Connected, method: str) -> ResponseHead:
    while True:
        async with asyncio.timeout(IDLE_SECONDS):
            head = await server.reader.readuntil(_END)
        answer = read_response(head, method)
        if answer.status >= 200:  # those before only announce it
            return answer


def _request_bytes(request: RequestHead, server: Connected) -> bytes:
    """Return the head as it goes on. The host is that of the target, whatever `Host` the client sent."""
    host = f"{bracketed(request.host)}{_port(request)}"
    target = f"http://{host}{request.target}" if server.upstream is not None else request.target
    fields = [("host", host), *request.fields, ("via", "1.1 envbuild")]
    if request.length == CHUNKED:
        fields.append(("transfer-encoding", "chunked"))
    if server.upstream is not None and server.upstream.credentials:
        fields.append(("proxy-authorization", server.upstream.credentials))
    return _head_bytes(f"{request.method} {target} HTTP/1.1", fields)


def _answer_bytes(answer: ResponseHead, request: RequestHead, *, keeps: bool, chunks: bool) -> bytes:
    fields = [*answer.fields, ("connection", "keep-alive" if keeps else "close")]
    if chunks:
        fields.append(("transfer-encoding", "chunked"))
    return _head_bytes(f"HTTP/1.1 {answer.status} {answer.reason}", fields)


def _head_bytes(first: str, fields: list[tuple[str, str]]) -> bytes:
    return ("\r\n".join([first, *(f"{name}: {value}" for name, value in fields)]) + "\r\n\r\n").encode("latin-1")


def _port(request: RequestHead) -> str:
    return "" if request.port == 80 else f":{request.port}"
