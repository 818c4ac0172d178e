"""The files of a base while it is being put together: what goes where, before anything is copied."""

from __future__ import annotations

import os
import stat

from envbuild.tree.entry import DIRECTORY, FILE, LINK, ROOT_NAME, Entry, Xattrs
from envbuild.tree.target import TreeTarget

CAPABILITIES = b"security.capability"


class BaseFiles:
    """Entries by path (without a slash at the start), and where each file's content comes from.

    `whole_seconds`: the files were unpacked from archives with times in whole seconds, as dpkg does, so that a
    fraction shows that a file was written later; it then counts as timeless.
    """

    def __init__(self, root: str = "", *, whole_seconds: bool = False) -> None:
        self.root = root
        self.whole_seconds = whole_seconds
        self.entries: dict[bytes, tuple[Entry, str | bytes | None]] = {}
        self.newest = 0
        self.unreadable: list[str] = []
        self._open: dict[str, bool] = {"": True}

    def take(self, path: str, source: str | None = None, *, timeless: bool = False) -> bool:
        """Take a file, link or directory of this machine, with its owner, mode and time; False if it isn't there.

        Directories get no time, as theirs tells only when something was last installed. A file that not everybody
        may read is noted and left out: root and an ordinary user then make the same base. A `timeless` file gets
        the base's date, and `newest` does not see it.
        """
        real = f"{self.root}{source or path}"
        if not self._is_open(os.path.dirname(source or path)):
            self.unreadable.append(path)
            return False
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
            if timeless or (self.whole_seconds and status.st_mtime_ns % 1_000_000_000):
                entry = entry._replace(mtime=-1)
            else:
                self.newest = max(self.newest, status.st_mtime_ns)
            if status.st_mode & stat.S_IXUSR:
                entry = entry._replace(xattrs=_capabilities(real))
            self.entries[name] = (entry, real)
        return True

    def write(self, path: str, content: str | bytes, mode: int = 0o644, gid: int = 0) -> None:
        """Add a file with this content."""
        data = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
        self.entries[os.fsencode(path.strip("/"))] = (Entry(b"", FILE, mode, 0, gid, -1), data)

    def link(self, path: str, target: str) -> None:
        """Add a symbolic link."""
        self.entries[os.fsencode(path.strip("/"))] = (
            Entry(b"", LINK, 0o777, 0, 0, -1, 0, "", os.fsencode(target)),
            None,
        )

    def directory(self, path: str, mode: int = 0o755, gid: int = 0) -> None:
        """Add a directory; one that is there already stays as it is."""
        name = os.fsencode(path.strip("/"))
        if name not in self.entries:
            self.entries[name] = (Entry(b"", DIRECTORY, mode, 0, gid, -1), None)

    def has(self, path: str) -> bool:
        """Return whether something was taken or made at this path."""
        return os.fsencode(path.strip("/")) in self.entries

    def files_in(self, folder: str) -> list[tuple[str, str]]:
        """Return the files of this machine that were taken into a folder, as (path, where it lies here), sorted."""
        start = os.fsencode(folder.strip("/")) + b"/"
        taken = ((path, source) for path, (_, source) in self.entries.items() if path.startswith(start))
        return sorted((f"/{os.fsdecode(path)}", source) for path, source in taken if isinstance(source, str))

    def _is_open(self, folder: str) -> bool:
        """Return whether everybody may look into this folder of the machine."""
        known = self._open.get(folder)
        if known is None:
            try:
                status = os.stat(f"{self.root}{folder}")
            except FileNotFoundError:
                return True
            except OSError:
                return False
            own = folder == "/" or bool(status.st_mode & stat.S_IXOTH)
            known = own and (folder == "/" or self._is_open(os.path.dirname(folder)))
            self._open[folder] = known
        return known

    def write_to(self, target: TreeTarget, epoch: int) -> None:
        """Copy everything into a tree; what has no time of its own gets `epoch` (seconds)."""
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


def _capabilities(path: str) -> Xattrs:
    """Return what a program may do beyond its user's rights (capabilities(7)), if anything."""
    try:
        return ((CAPABILITIES, os.getxattr(path, CAPABILITIES)),)
    except OSError:
        return ()
