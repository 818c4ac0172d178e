"""Work in a process of its own, forked from this one."""

from __future__ import annotations

import os
from collections.abc import Callable


def answer_of(work: Callable[[], bytes]) -> bytes:
    """Return what `work` returns in a child process; b"" if the child ends without an answer.

    What the work changes of its process, such as the namespaces that it is in, ends with the child. This process has
    one thread.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            answer = work()
            with os.fdopen(writing, "wb") as pipe:
                pipe.write(answer)
        finally:
            os._exit(0)
    os.close(writing)
    try:
        with os.fdopen(reading, "rb") as pipe:
            return pipe.read()
    finally:
        os.waitpid(child, 0)


def run_detached(work: Callable[[], None]) -> None:
    """Begin `work` in a process that outlives this one and its terminal: it is nobody's child and leads no session.

    This process has one thread.
    """
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            if os.fork() == 0:
                work()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
