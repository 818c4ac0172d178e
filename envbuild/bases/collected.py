"""The files of a base while it is being put together: what goes where, before anything is copied."""

from __future__ import annotations

import os
import stat

from envbuild.bases.target import TreeTarget
from envbuild.tree.entry import DIRECTORY, FILE, LINK, ROOT_NAME, Entry


class Collected:
    """Entries by path (without a slash at the start), and where each file's content comes from."""

    def __init__(self, root: str = "") -> None:
        self.root = root
        self.entries: dict[bytes, tuple[Entry, str | bytes | None]] = {}
        self.newest = 0
        self.unreadable: list[str] = []

    def take(self, path: str, source: str | None = None) -> bool:
        """Takes a file, link or directory of this machine, with its owner, mode and time; False if it isn't there.

        Directories get no time, as theirs tells only when something was last installed. A file that not everybody
        may read is noted and left out: root and an ordinary user then make the same base.
        """
        real = f"{self.root}{source or path}"
        try:
            status = os.lstat(real)
        except OSError:
            return False
        name = os.fsencode(path.strip("/"))
        entry = Entry(b"", FILE, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, status.st_mtime_ns)
        if stat.S_ISDIR(status.st_mode):
            self.entries[name] = (entry._replace(kind=DIRECTORY, mtime=-1), None)
        elif stat.S_ISLNK(status.st_mode):
            target = os.fsencode(os.readlink(real))
            self.entries[name] = (entry._replace(kind=LINK, mode=0o777, target=target), None)
        elif stat.S_ISREG(status.st_mode):
            if not status.st_mode & stat.S_IROTH:
                self.unreadable.append(path)
                return False
            self.newest = max(self.newest, status.st_mtime_ns)
            self.entries[name] = (entry, real)
        return True

    def write(self, path: str, content: str | bytes, mode: int = 0o644, gid: int = 0) -> None:
        """A file with this content."""
        data = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
        self.entries[os.fsencode(path.strip("/"))] = (Entry(b"", FILE, mode, 0, gid, -1), data)

    def link(self, path: str, target: str) -> None:
        """A symbolic link."""
        self.entries[os.fsencode(path.strip("/"))] = (
            Entry(b"", LINK, 0o777, 0, 0, -1, 0, "", os.fsencode(target)),
            None,
        )

    def directory(self, path: str, mode: int = 0o755, gid: int = 0) -> None:
        """A directory; one that is there already stays as it is."""
        name = os.fsencode(path.strip("/"))
        if name not in self.entries:
            self.entries[name] = (Entry(b"", DIRECTORY, mode, 0, gid, -1), None)

    def has(self, path: str) -> bool:
        """Whether something was taken or made at this path."""
        return os.fsencode(path.strip("/")) in self.entries

    def write_to(self, target: TreeTarget, epoch: int) -> None:
        """Copies everything into a tree; what has no time of its own gets `epoch` (seconds)."""
        time = epoch * 1_000_000_000
        target.add(b"", Entry(ROOT_NAME, DIRECTORY, 0o755, 0, 0, time))
        for path, (entry, source) in sorted(self.entries.items()):
            entry = entry._replace(mtime=time if entry.mtime < 0 else min(entry.mtime, time))
            if isinstance(source, str):
                descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
                try:
                    target.add(path, entry, descriptor)
                finally:
                    os.close(descriptor)
            else:
                target.add(path, entry, source)
