"""The tracer of a step, which its server is while the step runs, and how what it saw gets to whoever asked for it."""

from __future__ import annotations

import os

from envbuild.linux.sockets import socket
from envbuild.sandbox.mounts import SECRETS
from envbuild.sandbox.protocol import Traced
from envbuild.sandbox.spec import Request
from envbuild.sandbox.wire import receive_with_descriptors, send
from envbuild.trace.observed import Observed, dump, load
from envbuild.trace.resolver import Mount
from envbuild.trace.tracer import Tracer

MAX_BYTES = 1 << 30


def trace_step(link: socket, orders: socket, proc: int) -> None:
    """Follow a step until it is over, and send what was seen. The listener of its filter comes on `orders`; `proc` is
    as for the tracer."""
    _, descriptors = receive_with_descriptors(orders, 1, 1)
    if not descriptors:
        send(link, Traced(0, "was ended before it could be traced"))
        return
    try:
        observed = Tracer(descriptors[0], proc).run()
    finally:
        # From now on the calls of whoever is left fail, and nobody waits for an answer.
        os.close(descriptors[0])
    content = dump(observed)
    file = os.memfd_create("envbuild-trace", os.MFD_CLOEXEC)
    try:
        with open(file, "wb", closefd=False) as writer:
            writer.write(content)
        send(link, Traced(len(content), ""), (file,))
    finally:
        os.close(file)


def received(answer: Traced, descriptors: tuple[int, ...]) -> Observed:
    """Return what a step server says of a step. Raises BadObservation."""
    try:
        if answer.problem or not descriptors or not 0 < answer.size <= MAX_BYTES:
            return Observed((), answer.problem or "could not be traced")
        with open(descriptors[0], "rb", closefd=False) as reader:
            reader.seek(0)
            return load(reader.read(answer.size))
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def mounts_of(request: Request) -> tuple[Mount, ...]:
    """Return what a request shows in place of its tree: of these paths nothing is read of the tree."""
    targets = ["/proc", "/sys", "/dev", *(() if request.tmp else ("/tmp",)), *((SECRETS,) if request.secrets else ())]
    return (
        *(Mount(_canonical(target)) for target in targets),
        *(Mount(_canonical(scratch.target)) for scratch in request.scratch),
        *(Mount(_canonical(bind.target), os.fsencode(bind.source)) for bind in request.binds),
    )


def _canonical(target: str) -> bytes:
    return os.fsencode(os.path.normpath(target)).strip(b"/")
