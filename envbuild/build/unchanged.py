"""Builds that would find all as it was: what the last such build told is told again.

A build that runs nothing and writes nothing leaves a note in the store (unchanged_note.py): the state of every file and
directory that it looked at, that of the store's database, and what it told. While all of these are as they were, the
next build with the same words in the same environment would tell the same, and needs none of what builds are made of.
Whatever differs, also only a time of change, has it built in the ordinary way. As with copied files
(context_scan.py), the state of a file is its inode with its size and times; what changed so shortly before that it
could change again without another time is not noted.
"""

from __future__ import annotations

import marshal
import os
import stat
import time

from envbuild.build import events
from envbuild.module_pack import checksum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from envbuild.build.events import Emit, Event
    from envbuild.build.job import BuildJob

    State = tuple[int, ...] | None
    """What tells a file from another one, and from the same one before it was changed; None where nothing is."""

FOLDER = "unchanged"
"""Where a store has the notes."""
FORMAT = "1"
TOLD = ("BuildStarted", "StepCached", "BuildFinished")
"""The events of a build that runs nothing and warns of nothing."""
_DATABASE = "store.db"
MAX_NOTE = 16 << 20
"""Bytes. One of 20,000 paths takes 4 MB."""


class Question:
    """What is asked for. `digest` stands for all that an answer depends on and that is no file: the words of the
    command, its environment, and the program itself; `path` is where a note about it lies. `asked` is when, in
    seconds since 1970, and `database` the state of the store's database then, before anything is read of it."""

    def __init__(self, store: str, name: str, digest: str) -> None:
        self.store = store
        self.path = f"{store}/{FOLDER}/{name}"
        self.digest = digest
        self.asked = time.time()
        self.database = database_state(store)


class Watcher:
    """Passes the events of a build on, and keeps those of one that finds all as it was."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self.events: list[Event] | None = []
        """None once something else was told."""
        self.job: BuildJob | None = None
        """The build, when it has ended well."""

    def __call__(self, event: Event) -> None:
        self._emit(event)
        if self.events is not None:
            if type(event).__name__ in TOLD:
                self.events.append(event)
            else:
                self.events = None

    def end(self, job: BuildJob) -> None:
        """Take the build that has ended."""
        self.job = job


def state_of(path: str) -> State:
    """Return the state of what lies at a path; a link is not followed."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return (
        status.st_mode,
        status.st_uid,
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def rough_state_of(path: str) -> State:
    """Return the state of a directory in which others come and go."""
    state = state_of(path)
    return None if state is None else state[:4]


def database_state(store: str) -> tuple[State, State]:
    """Return the state of a store's database and of the commits that are not in it yet (sqlite.org/wal.html): nothing
    is written to a store that changes neither."""
    log = state_of(f"{store}/{_DATABASE}-wal")
    # Whoever opens the database makes an empty one.
    return state_of(f"{store}/{_DATABASE}"), log if log is not None and log[4] else None


def answer(question: Question) -> tuple[str, list[Event]] | None:
    """Return how the build that was noted showed its progress, and what it told, if nothing has changed since."""
    started = time.monotonic()
    content = _own_content(question.path)
    if checksum(content[8:]) != content[:8]:
        return None
    digest, since, until, database, states, rough, folders, progress, plain = marshal.loads(content[8:])
    if digest != question.digest or database != question.database or not since <= time.time() < until:
        return None
    if any(state_of(path) != state for path, state in states):
        return None
    if any(rough_state_of(path) != state for path, state in rough):
        return None
    if any(os.path.realpath(folder) != folder for folder in folders):
        return None
    *cached, (name, fields) = [(getattr(events, name), fields) for name, fields in plain]
    finished = name(*fields).replace(seconds=time.monotonic() - started)
    return progress, [*(kind(*fields) for kind, fields in cached), finished]


def _own_content(path: str) -> bytes:
    """Return what lies at a path, nothing if that is no file of this user: what another one may have written is not for
    marshal."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return b""
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_size > MAX_NOTE:
            return b""
        return os.read(descriptor, status.st_size)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def note(content: tuple[Any, ...]) -> bytes:
    """Return a note as bytes."""
    body = marshal.dumps(content)
    return checksum(body) + body
