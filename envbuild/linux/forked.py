"""Functions in a process of their own, forked from this one: for work that enters a namespace, starts threads, or
outlives this process."""

from __future__ import annotations

import marshal
import os
import sys

from envbuild.errors import EnvbuildError, WorkFailed, fields
from envbuild.linux.signals import SIGTERM, Terminated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class ChildError(EnvbuildError):
    """An error that was raised in a child process, as it is shown and with the exit code that it had there."""

    def __init__(self, message: str, hint: str, exit_code: int, reported: bool, excerpt: str) -> None:
        super().__init__(message, hint)
        self.exit_code = exit_code
        self.reported = reported
        self.excerpt = excerpt


@fields
class ChildKilled(WorkFailed):
    """A child process ended without an answer; `status` is that of wait(2)."""

    status: int

    def text(self) -> tuple[str, str]:
        code = os.waitstatus_to_exitcode(self.status)
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return f"a process of this command {how}", "run the same command again"


class ChildCrashed(Exception):
    """A bug in what a child process did; the traceback is a note of this exception."""


def call_in_child(function: Callable[[], object]) -> Any:
    """Return what `function` returns in a child process, which then ends.

    This process has one thread. The result is made of the types that marshal knows; subclasses of str in it, such as
    checked names, arrive as plain strings. Raises ChildError for an
    EnvbuildError, OSError for an OSError, ChildKilled, and ChildCrashed.
    """
    # Or what is left in these buffers would be written twice.
    sys.stdout.flush()
    sys.stderr.flush()
    reading, writing = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            answer = _dumped(_answer(function))
            sys.stdout.flush()
            sys.stderr.flush()
            with os.fdopen(writing, "wb") as pipe:
                pipe.write(answer)
        finally:
            os._exit(0)
    os.close(writing)
    try:
        with os.fdopen(reading, "rb") as pipe:
            data = pipe.read()
    except Terminated:
        os.kill(child, SIGTERM)
        raise
    finally:
        # What interrupts this process interrupts the child, too: it cleans up before this process goes on.
        _, status = os.waitpid(child, 0)
    if not data:
        raise ChildKilled(status)
    return _result(*marshal.loads(data))


def _dumped(answer: tuple[Any, ...]) -> bytes:
    try:
        return marshal.dumps(_plain(answer))
    except ValueError as bug:
        return marshal.dumps(("crash", f"the result of a child process can't be sent: {bug}", _traceback(bug)))


def _plain(value: Any) -> Any:
    match value:
        case str():
            return str(value)
        case tuple() | list():
            plain = [_plain(item) for item in value]
            return tuple(plain) if isinstance(value, tuple) else plain
        case dict():
            return {_plain(key): _plain(item) for key, item in value.items()}
        case _:
            return value


def _answer(function: Callable[[], object]) -> tuple[Any, ...]:
    try:
        return "result", function()
    except KeyboardInterrupt:
        return ("interrupt",)
    except EnvbuildError as error:
        return "error", error.message, error.hint, error.exit_code, error.reported, error.excerpt
    except OSError as error:
        filename = error.filename if isinstance(error.filename, str) else None
        return "system", error.errno, error.strerror, filename, _traceback(error)
    except Exception as bug:
        return "crash", f"{type(bug).__name__}: {bug}", _traceback(bug)


def _result(kind: str, *values: Any) -> Any:
    match kind:
        case "result":
            return values[0]
        case "interrupt":
            raise KeyboardInterrupt
        case "error":
            raise ChildError(*values)
        case "system":
            *fields, trace = values
            failure: Exception = OSError(*fields)
        case _:
            *fields, trace = values
            failure = ChildCrashed(*fields)
    failure.add_note(trace)
    raise failure


def _traceback(error: BaseException) -> str:
    import traceback  # only for bugs

    return "".join(traceback.format_exception(error))


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
