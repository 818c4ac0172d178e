"""Layers as other tools take them: compressed archives, each kept under its digest once it was made or pulled.

They are a cache: whatever is missing is made again from trees. `blobs/HEX` is read-only and hard-linked into what is
exported, so that it is looked at before it is given out again: a file that somebody changed is made anew.
"""

from __future__ import annotations

import os
import time

from envbuild.record import Record
from envbuild.store.step_cache import Memo
from envbuild.text import json

KEPT = 14 * 86400
"""Seconds that a blob is kept by garbage collection after its last use."""
KIND = "layer"
"""Under which the database remembers which blob a layer is."""


class Blob(Record):
    """A layer as it is kept: its digest as it lies there and that of the archive inside (`sha256:...`), the bytes of
    both, the path, and where in it the index of its files is, "" for nowhere."""

    digest: str
    size: int
    diff_id: str
    archive_size: int
    path: str
    index: str = ""


class Blobs:
    """The blobs of one store."""

    def __init__(self, path: str, memo: Memo) -> None:
        self.path = path
        self._memo = memo

    def get(self, key: str) -> Blob | None:
        """Return what a layer was made into, None if it has to be made."""
        known = self._memo.get(KIND, key)
        if known is None:
            return None
        digest, size, diff_id, archive_size, changed, *index = json.loads(known.decode())
        blob = Blob(digest, size, diff_id, archive_size, self._where(digest), *index)
        try:
            status = os.lstat(blob.path)
        except FileNotFoundError:
            return None
        if (status.st_size, status.st_mtime_ns) != (size, changed):
            return None
        os.utime(blob.path, ns=(time.time_ns(), changed))  # when it was used last
        return blob

    def adopt(self, key: str, temporary: str, digest: str, diff_id: str, archive_size: int, index: str = "") -> Blob:
        """Keep a file that was made in the work area as the blob of a layer."""
        os.chmod(temporary, 0o444)
        status = os.lstat(temporary)
        path = self._where(digest)
        os.makedirs(self.path, mode=0o700, exist_ok=True)
        os.replace(temporary, path)
        known = [digest, status.st_size, diff_id, archive_size, status.st_mtime_ns, index]
        self._memo.put(KIND, key, json.dumps(known).encode())
        return Blob(digest, status.st_size, diff_id, archive_size, path, index)

    def place(self, digest: str) -> str:
        """Return the path at which the blob of a digest lies, or is to be put. Whoever takes what lies there holds it
        against the digest."""
        os.makedirs(self.path, mode=0o700, exist_ok=True)
        return self._where(digest)

    def use(self, digest: str) -> None:
        """Note that a blob was used, so that it is kept for a while."""
        path = self._where(digest)
        os.utime(path, ns=(time.time_ns(), os.lstat(path).st_mtime_ns))

    def unused_since(self, moment: float) -> list[str]:
        """Return the paths of blobs that nobody used after a time in seconds since 1970."""
        if not os.path.isdir(self.path):
            return []
        paths = [f"{self.path}/{name}" for name in sorted(os.listdir(self.path))]
        return [path for path in paths if os.lstat(path).st_atime < moment]

    def _where(self, digest: str) -> str:
        return f"{self.path}/{digest.removeprefix('sha256:')}"
