"""Notes about files that are others in each build, as a build's steps make them."""

from __future__ import annotations

from envbuild.build.events import Notice
from envbuild.build.reporter import Reporter
from envbuild.store.store import Store
from envbuild.tree.entry import Digest

_HINT = "where nothing needs them, `discard` them before this step: that keeps the image reproducible"


class DrawnNotes:
    """What one build has said of such files."""

    def __init__(self, store: Store, reporter: Reporter) -> None:
        self._store = store
        self._reporter = reporter
        self._noted: set[str] = set()

    def note(self, before: Digest, after: Digest) -> None:
        """Say once for each such file that a step made it."""
        if before == after:
            return
        from envbuild.debian.drawn_files import drawn_files  # only where a step changed something

        paths = [path for path in drawn_files(self._store.trees, before, after) if path not in self._noted]
        self._noted.update(paths)
        if paths:
            self._reporter.emit(Notice("note", f"these files differ at each build: {' '.join(paths)}", _HINT))
