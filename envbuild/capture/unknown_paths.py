"""The paths of a machine of which its capture says nothing: what was left out, and what could not be read."""

from __future__ import annotations

from envbuild.images.capture_record import FOLDER, Missing, is_capture, read_left_out, read_unread
from envbuild.images.secret_placeholder import has_placeholder
from envbuild.store.store import Store
from envbuild.tree.entry import Digest, Entry

_CONTENTS = b"/*"
"""How a capture says that it has a directory, and nothing of what lies in it."""
MAX_REDACTED = 16 << 20
"""Bytes of a file with secrets in it: those that are taken out are in files of settings."""


class UnknownPaths:
    """What is not in one capture; nothing of an image that is none is unknown. Raises BadCaptureRecord."""

    def __init__(self, store: Store, tree: Digest) -> None:
        of_capture = is_capture(store, tree)
        self.left_out: tuple[Missing, ...] = read_left_out(store, tree) if of_capture else ()
        self.unread: tuple[Missing, ...] = read_unread(store, tree) if of_capture else ()
        missing = [row.path for row in (*self.left_out, *self.unread)]
        self._contents = {path.removesuffix(_CONTENTS) for path in missing if path.endswith(_CONTENTS)}
        self._paths = {path for path in missing if not path.endswith(_CONTENTS)}
        if of_capture:
            self._paths.add(FOLDER.rpartition(b"/")[0])

    def __contains__(self, path: bytes) -> bool:
        """Return whether the capture does not say what is at a path, or in the directory there."""
        if path in self._paths:
            return True
        while path:
            path = path.rpartition(b"/")[0]
            if path in self._paths or path in self._contents:
                return True
        return False


def is_redacted(store: Store, entry: Entry) -> bool:
    """Return whether a secret was taken out of a file of a capture."""
    return entry.size <= MAX_REDACTED and has_placeholder(store.objects.read(entry))
