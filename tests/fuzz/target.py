"""A reader, what it may raise, and how one input is tried on it."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FrameType

from envbuild.errors import EnvbuildError

SEEDS = Path(__file__).parent / "seeds"
SECONDS = 5.0
"""An input of at most MAX_BYTES that takes a reader longer than this, of the processor's time, is a finding."""
MAX_BYTES = 1 << 17


class TooSlow(BaseException):
    """A reader did not come to an end in time. Not an Exception, so that no reader can swallow it."""


@dataclass(frozen=True)
class Target:
    """One reader. `read` takes an input and checks whatever must hold of the result; `raises` is what it may raise.

    `tokens` are words of the format, which mutations put in; the seeds lie in `seeds/NAME`.
    """

    name: str
    read: Callable[[bytes], object]
    raises: tuple[type[Exception], ...] = (EnvbuildError,)
    tokens: tuple[bytes, ...] = ()

    def seeds(self) -> list[bytes]:
        """The inputs that are kept, in the order of their names."""
        return [path.read_bytes() for path in sorted((SEEDS / self.name).iterdir())]


@dataclass(frozen=True)
class Finding:
    """What an input did to a reader; `where` tells the same fault from another one."""

    where: str
    text: str


def attempt(target: Target, data: bytes) -> Finding | None:
    """Gives one input to the reader; what is wrong with what came of it, None if nothing is."""

    def late(number: int, frame: FrameType | None) -> None:
        raise TooSlow

    before = [(number, signal.signal(number, late)) for number in (signal.SIGPROF, signal.SIGALRM)]
    # Of the processor, as the machine may be busy; of the clock, for what waits.
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.setitimer(signal.ITIMER_REAL, 6 * SECONDS)
    try:
        target.read(data)
    except target.raises:
        return None
    except (Exception, TooSlow) as error:
        return Finding(_place(error), "".join(traceback.format_exception(error)))
    finally:
        for timer in (signal.ITIMER_PROF, signal.ITIMER_REAL):
            signal.setitimer(timer, 0)
        for number, handler in before:
            signal.signal(number, handler)
    return None


def _place(error: BaseException) -> str:
    """The kind of the error and the last line of envbuild that it came through."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/envbuild/" in frame.filename] or frames
    if isinstance(error, TooSlow):
        return f"TooSlow in {own[-1].name}"  # which line of a loop it was is chance
    return f"{type(error).__name__} at {os.path.basename(own[-1].filename)}:{own[-1].lineno}"


@cache
def scratch() -> str:
    """A folder in memory for readers of files, which lasts as long as the process."""
    folder = tempfile.mkdtemp(prefix="envbuild-fuzz-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def written(data: bytes, name: str = "input") -> str:
    """The path of a file with this content; the next one of the same name replaces it."""
    path = f"{scratch()}/{name}"
    with open(path, "wb") as file:
        file.write(data)
    return path


@contextmanager
def working_in(folder: str) -> Iterator[None]:
    """Meanwhile this is the working directory."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
