"""The state of an instance, as its supervisor knows it and writes it down, as well as the disk allows."""

from __future__ import annotations

import threading

from envbuild.instances.records import State, write_state

PAUSE = 0.25
"""Seconds between two trials to write what could not be written."""


class StateWriter:
    """A state that is kept in memory. If it can't be written, as the disk is full or broken, that is retried: a
    supervisor goes on meanwhile."""

    def __init__(self, folder: str, state: State) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._closed = False
        self._written = threading.Event()
        self._written.set()
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
        self._written.wait(seconds)

    def _write(self) -> None:
        try:
            write_state(self._folder, self.now)
        except OSError:
            if self._written.is_set():
                self._written.clear()
                threading.Thread(target=self._try_again, name="state", daemon=True).start()
        else:
            self._written.set()

    def _try_again(self) -> None:
        while not self._written.wait(PAUSE):
            with self._lock:
                if not self._written.is_set():
                    self._write()
