"""A process that speaks to the registry of a shared cache, for a build that never waits for it for long.

It is forked from the build and can be killed at any moment, whatever a server does to it: one that sends a header each
second, or nothing at all, takes from the build what it is allowed to, and no more. The build stays without threads
meanwhile, so that it can enter its user namespace; and this process stays outside, where the user's logins are.
"""

from __future__ import annotations

import marshal
import os
import select
import signal
import struct
import time
from _thread import allocate_lock
from collections.abc import Callable, Sequence

from envbuild.linux.syscalls import PR_SET_PDEATHSIG, prctl
from envbuild.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from envbuild.registry.client import Repository
    from envbuild.sharing.cache_server import Trusted

PATIENCE = 2.0
"""Seconds that the registries of one build may keep it waiting in all."""
RATE = 128 << 10
"""Bytes that give back one of these seconds: whoever sends so many in a second may go on."""
_LOADING = 30.0
_SIZE = struct.Struct(">I")


class CacheGone(Exception):
    """A registry that is not asked any more, and why."""


class Allowance:
    """The time that is left for waiting, for all registries of one build together."""

    def __init__(self, seconds: float = PATIENCE) -> None:
        self._most = seconds
        self.left = seconds

    def charge(self, seconds: float) -> None:
        """Note that so much was waited."""
        self.left -= seconds

    def earn(self, size: int) -> None:
        """Note that so many bytes came or went."""
        self.left = min(self._most, self.left + size / RATE)


class Upload(Record):
    """A record that is to be put under a tag, with the blobs that it needs: digest, size, and the path or the bytes."""

    tag: str
    manifest: bytes
    blobs: tuple[tuple[str, int, str | bytes], ...] = ()


class CacheProcess:
    """The build's side. All that it is asked raises CacheGone, also every time after the first."""

    def __init__(self, name: str, connect: Callable[[], Repository], trusted: Trusted | None, time: Allowance) -> None:
        """`connect` returns the repository, and is called in the other process, as is `trusted`. The process is forked
        when it is first asked, which has to be while the build has one thread."""
        self.name = name
        self._connect = connect
        self._trusted = trusted
        self._time = time
        self._pid = 0
        self._to = self._from = -1
        self._buffer = b""
        self._asking = allocate_lock()
        self._is_ready = False
        self.gone = ""
        """Why it is not asked any more, "" if it is."""

    def start(self) -> None:
        """Fork the process, unless it was."""
        if self._pid or self.gone:
            return
        theirs_in, self._to = os.pipe2(os.O_CLOEXEC)
        self._from, theirs_out = os.pipe2(os.O_CLOEXEC)
        parent = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                _begin(parent, theirs_in, theirs_out)
                # Only here: the build goes on while this process loads it.
                from envbuild.sharing.cache_server import serve

                serve(theirs_in, theirs_out, self._connect, self._trusted)
            finally:
                os._exit(0)
        os.close(theirs_in)
        os.close(theirs_out)

    def get(self, tags: Sequence[str]) -> tuple[dict[str, bytes], list[str]]:
        """Return the manifests under these tags, as far as there are any, and the tags of those that are not
        trusted."""
        manifests, untrusted = self._ask(("get", list(tags)))
        return manifests, untrusted

    def fetch(
        self, blobs: Sequence[tuple[str, int, str]], arrived: Callable[[str], None] = lambda digest: None
    ) -> None:
        """Bring blobs, each a digest, its size and a path; `arrived` is called with the digest of each that is here."""
        self._ask(("fetch", list(blobs)), arrived)

    def missing(self, tags: Sequence[str]) -> set[str]:
        """Return those of the tags that the registry lacks."""
        return set(self._ask(("missing", list(tags))))

    def put(self, uploads: Sequence[Upload]) -> int:
        """Send records with their blobs, as far as the registry lacks these, and return the bytes that were sent."""
        size: int = self._ask(("put", [(upload.tag, upload.manifest, list(upload.blobs)) for upload in uploads]))
        return size

    def close(self) -> None:
        """End the process."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            os.close(self._to)
            os.close(self._from)
            self._pid = 0

    def _ask(self, request: tuple[Any, ...], arrived: Callable[[str], None] = lambda digest: None) -> Any:
        with self._asking:
            return self._answer(request, arrived)

    def _answer(self, request: tuple[Any, ...], arrived: Callable[[str], None]) -> Any:
        if self.gone:
            raise CacheGone(self.gone)
        self.start()
        try:
            self._write(marshal.dumps(request))
            while True:
                kind, value = marshal.loads(self._read())
                match kind:
                    case "ready":
                        self._is_ready = True
                    case "bytes":
                        self._time.earn(value)
                    case "arrived":
                        arrived(value)
                    case "done":
                        return value
                    case _:
                        raise CacheGone(value)
        except (OSError, EOFError) as error:
            self.give_up(f"the process that asks it has ended: {error}")
        except CacheGone as error:
            self.give_up(str(error))
        raise CacheGone(self.gone)

    def give_up(self, reason: str) -> None:
        """Ask it no more, for this reason; the first one counts."""
        self.gone = self.gone or reason
        self.close()

    def _write(self, message: bytes) -> None:
        view = memoryview(_SIZE.pack(len(message)) + message)
        while view:
            view = view[os.write(self._to, view) :]

    def _read(self) -> bytes:
        (size,) = _SIZE.unpack(self._exactly(_SIZE.size))
        return self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            began = time.monotonic()
            # That this machine takes time to load what it needs is no fault of a registry's.
            left = self._time.left if self._is_ready else _LOADING
            ready = select.select([self._from], [], [], max(0.0, left))[0]
            if self._is_ready:
                self._time.charge(time.monotonic() - began)
            if not ready:
                raise CacheGone("it is too slow, or does not answer")
            data = os.read(self._from, 1 << 20)
            if not data:
                raise EOFError("no answer")
            self._buffer += data
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data


def _begin(parent: int, *kept: int) -> None:
    """Make a forked process one that ends with its parent, and has nothing of it open."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the build ends this process when it has cleaned up
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    low = 3
    for descriptor in sorted(kept):
        os.closerange(low, descriptor)
        low = descriptor + 1
    os.closerange(low, os.sysconf("SC_OPEN_MAX"))
