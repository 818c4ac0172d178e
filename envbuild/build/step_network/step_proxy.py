"""The thread in which the proxy of one step runs, from when the step's socket is there until the step is over."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable
from functools import partial

from envbuild.build.step_network.access import Access
from envbuild.build.step_network.connect import BUFFER
from envbuild.build.step_network.machine import Machine
from envbuild.build.step_network.proxy import Proxy
from envbuild.build.step_network.traffic import Traffic
from envbuild.errors import WorkFailed, fields
from envbuild.sandbox.spec import Door

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@fields
class ProxyFailed(WorkFailed):
    """The proxy of a step broke down, and the step was ended."""

    error: BaseException

    def text(self) -> tuple[str, str]:
        return (
            f"the proxy of the step failed: {type(self.error).__name__}: {self.error}",
            "run the same command again; if it fails again, report it with what the step asks for",
        )


class StepProxy:
    """Use it as a context manager around the run of the step."""

    def __init__(self, access: Access, machine: Machine, traffic: Traffic) -> None:
        self.traffic = traffic
        self._end: Callable[[], None] = lambda: None
        self._access = access
        self._machine = machine
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

    def __enter__(self) -> StepProxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def doors(self) -> tuple[Door, ...]:
        """The servers that the step connects to at addresses of its own."""
        return self._access.doors

    def serve(self, descriptors: tuple[int, ...], end: Callable[[], None]) -> None:
        """Begin to answer on sockets that listen: the proxy's own, and one for each door. `end` ends the step: it is
        called if the proxy breaks down, after which nothing that the step asks would be answered."""
        self._end = end
        listening = [socket.socket(fileno=descriptor) for descriptor in descriptors]
        try:
            for place in listening:
                place.setblocking(False)
            self._loop = asyncio.new_event_loop()
            self._stop = asyncio.Event()
            thread = threading.Thread(target=self._run, args=(self._loop, listening), name="step proxy", daemon=True)
            thread.start()
            self._thread = thread
        except BaseException:
            _close(listening)
            raise

    def close(self) -> None:
        """End it, with all its connections."""
        if self._thread is None or self._loop is None or self._stop is None:
            return
        try:
            self._loop.call_soon_threadsafe(self._stop.set)
        except RuntimeError:
            pass  # it has ended by itself
        self._thread.join()
        self._thread = None

    def check(self) -> None:
        """Raise ProxyFailed if the proxy broke down."""
        if self._failure is not None:
            raise ProxyFailed(self._failure) from self._failure

    def _run(self, loop: asyncio.AbstractEventLoop, listening: list[socket.socket]) -> None:
        try:
            loop.run_until_complete(self._serve(listening))
        except BaseException as error:
            self._fail(error)
        finally:
            _close(listening)
            loop.close()

    async def _serve(self, listening: list[socket.socket]) -> None:
        assert self._stop is not None
        loop = asyncio.get_running_loop()
        proxy = Proxy(self._access, self._machine, self.traffic)
        loop.set_exception_handler(lambda loop, context: None)  # of connections that break
        clients: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

        async def answer(serve: Serve, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            clients[task] = writer
            try:
                await serve(reader, writer)
            except Exception as error:
                self._fail(error)
            finally:
                del clients[task]

        ways: list[Serve] = [proxy.serve, *(partial(proxy.serve_door, door.name, door.port) for door in self.doors)]
        servers = [
            await asyncio.start_server(partial(answer, serve), sock=place, limit=BUFFER)
            for serve, place in zip(ways, listening, strict=False)
        ]
        try:
            await self._stop.wait()
        finally:
            for server in servers:
                server.close()
            await _rounds(5)  # until what was just accepted has a task
            left = dict(clients)
            for task, writer in left.items():
                task.cancel()
                writer.transport.abort()
            await asyncio.gather(*left, return_exceptions=True)
            await _rounds(3)  # transports close their sockets in the next ones

    def _fail(self, error: BaseException) -> None:
        if self._failure is None:
            self._failure = error
            if self._stop is not None:
                self._stop.set()
            self._end()


def _close(listening: list[socket.socket]) -> None:
    for place in listening:
        place.close()


async def _rounds(count: int) -> None:
    """Let the loop go round so many times."""
    for _ in range(count):
        await asyncio.sleep(0)
