"""The state of an instance, as its supervisor knows it and writes it down, as well as the disk allows."""

from __future__ import annotations

from _thread import allocate_lock

from envbuild.instances.records import State, write_state
from envbuild.linux.latch import Latch

PAUSE = 0.25
"""Seconds between two trials to write what could not be written."""


class StateWriter:
    """A state that is kept in memory. If it can't be written, as the disk is full or broken, that is retried: a
    supervisor goes on meanwhile."""

    def __init__(self, folder: str, state: State) -> None:
        self._folder = folder
        self._lock = allocate_lock()
        self._closed = False
        self._unwritten: Latch | None = None  # set when what could not be written is
        self.now = state

    def hold(self, **changed: object) -> None:
        """Change it without writing: it is written with the next change."""
        with self._lock:
            self.now = self.now.replace(**changed)

    def put(self, **changed: object) -> None:
        """Change it, and write it now or as soon as that is possible. Nothing after `finish`."""
        with self._lock:
            if not self._closed:
                self.now = self.now.replace(**changed)
                self._write()

    def finish(self, **changed: object) -> None:
        """Change it for the last time."""
        self.put(**changed)
        with self._lock:
            self._closed = True

    def wait(self, seconds: float) -> None:
        """Wait at most so long for all of it to be written."""
        unwritten = self._unwritten
        if unwritten is not None:
            unwritten.wait(seconds)

    def _write(self) -> None:
        try:
            write_state(self._folder, self.now)
        except OSError:
            if self._unwritten is None:
                import threading  # only where a disk fails

                self._unwritten = Latch()
                threading.Thread(target=self._try_again, args=(self._unwritten,), name="state", daemon=True).start()
        else:
            if self._unwritten is not None:
                self._unwritten.set()
                self._unwritten = None

    def _try_again(self, unwritten: Latch) -> None:
        while not unwritten.wait(PAUSE):
            with self._lock:
                if not unwritten.is_set():
                    self._write()
