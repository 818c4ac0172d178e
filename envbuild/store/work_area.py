"""`work/`: what is being made. Each piece is held by a lock of its maker; what nobody holds is removed."""

from __future__ import annotations

import fcntl
import os
from _thread import allocate_lock, start_new_thread

from envbuild.contexts import contextmanager
from envbuild.linux.latch import Latch
from envbuild.linux.rmtree import remove
from envbuild.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from queue import SimpleQueue


class Workspace(Record):
    """A directory of one's own: `upper` and `work` for overlayfs, and room for anything else."""

    path: str

    @property
    def upper(self) -> str:
        return f"{self.path}/upper"

    @property
    def work(self) -> str:
        return f"{self.path}/work"


class WorkArea:
    """The work directory of one store."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._shared: str | None = None
        self._shared_descriptor = -1
        self._owner = 0
        self._claiming = allocate_lock()
        self._idle: list[tuple[str, int]] = []
        self._behind: SimpleQueue[tuple[str, int] | None] | None = None

    @contextmanager
    def workspace(self) -> Iterator[Workspace]:
        """Yield a fresh workspace, removed in the end with all that is in it."""
        path, descriptor = self._take_idle() or self._claim()
        try:
            os.mkdir(f"{path}/upper", 0o755)
            if not os.path.isdir(f"{path}/work"):
                os.mkdir(f"{path}/work", 0o755)
            yield Workspace(path)
        finally:
            if self._behind is None:
                _remove(path, descriptor)
            elif _is_clean(path):
                self._idle.append((path, descriptor))
            else:
                self._behind.put((path, descriptor))

    @contextmanager
    def removing_behind(self) -> Iterator[None]:
        """Meanwhile workspaces are used again where a step left nothing in them, and removed by a thread of its own
        where it did, so that nobody waits for that; all are gone in the end."""
        from _queue import SimpleQueue  # the rest of queue takes 2 ms

        behind: SimpleQueue[tuple[str, int] | None] = SimpleQueue()

        failures: list[OSError] = []

        def clear() -> None:
            try:
                while (path := behind.get()) is not None:
                    try:
                        _remove(*path)
                    except OSError as failure:
                        failures.append(failure)
            finally:
                cleared.set()

        cleared = Latch()
        start_new_thread(clear, ())
        self._behind = behind
        try:
            yield
        finally:
            self._behind = None
            while self._idle:
                behind.put(self._idle.pop())
            behind.put(None)
            cleared.wait()
        if failures:
            raise failures[0]

    def _take_idle(self) -> tuple[str, int] | None:
        """Return a workspace that was used before. Not the last one: it may be mounted for a moment yet."""
        with self._claiming:
            return self._idle.pop(0) if len(self._idle) > 1 else None

    @contextmanager
    def file(self) -> Iterator[str]:
        """Yield the path of a file that does not exist yet; what was made there is removed in the end."""
        with self._claiming:
            if self._owner != os.getpid():
                self._shared, self._shared_descriptor = self._claim()
                self._owner = os.getpid()
        path = f"{self._shared}/{os.urandom(6).hex()}"
        try:
            yield path
        finally:
            try:
                os.unlink(path)
            except FileNotFoundError:
                pass

    @contextmanager
    def exclusive(self, name: str, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Wait until no other thread or process holds `name`, and hold it. `on_wait` is called if it has to wait."""
        path = f"{self.path}/{name}.lock"
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                on_wait()
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            # Whoever held it before us removed the file: a lock on that inode keeps nobody out.
            if _is_at(descriptor, path):
                break
            os.close(descriptor)
        try:
            yield
        finally:
            os.unlink(path)
            os.close(descriptor)

    def is_held(self, name: str) -> bool:
        """Return whether a process that lives holds `name`."""
        try:
            descriptor = os.open(f"{self.path}/{name}.lock", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            return not _has_lock(descriptor)
        finally:
            os.close(descriptor)

    @contextmanager
    def shared(self, name: str) -> Iterator[bool]:
        """Hold `name` beside others who do; yield whether nobody else held it. Only one at a time may begin."""
        path = f"{self.path}/{name}.lock"
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            alone = _has_lock(descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            if _is_at(descriptor, path):
                break
            os.close(descriptor)  # a tidying process removed it
        try:
            yield alone
        finally:
            if _has_lock(descriptor):
                os.unlink(path)
            os.close(descriptor)

    def tidy(self) -> None:
        """Remove what processes that are gone have left."""
        for name in os.listdir(self.path):
            path = f"{self.path}/{name}"
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            except OSError:
                continue
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            else:
                if _is_at(descriptor, path):
                    remove(path)
            finally:
                os.close(descriptor)

    def release(self) -> None:
        """Give up what `file` holds between its uses, at the end of a command."""
        if self._owner == os.getpid() and self._shared is not None:
            remove(self._shared)
            os.close(self._shared_descriptor)
            self._owner = 0

    def _claim(self) -> tuple[str, int]:
        while True:
            path = f"{self.path}/{os.urandom(6).hex()}"
            os.mkdir(path, 0o700)
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # A tidying process may have come between mkdir and flock.
            if _is_at(descriptor, path):
                return path, descriptor
            os.close(descriptor)


def _has_lock(descriptor: int) -> bool:
    """Try to hold a file alone; tell whether that worked."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_clean(path: str) -> bool:
    """Tell whether nothing is left in a workspace but overlayfs' own directory, which another mount can use then."""
    try:
        if os.listdir(path) != ["work"]:
            return False
        # With it overlayfs refuses to mount what was mounted `volatile` before (Linux documentation, overlayfs).
        os.rmdir(f"{path}/work/work/incompat/volatile")
    except OSError:
        return False
    return True


def _remove(path: str, descriptor: int) -> None:
    remove(path)
    os.close(descriptor)


def _is_at(descriptor: int, path: str) -> bool:
    try:
        there = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    held = os.fstat(descriptor)
    return (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino)
