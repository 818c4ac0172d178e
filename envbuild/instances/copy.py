"""`cp`: what is copied to where, between an instance and the host."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from envbuild.errors import UsageError, fields
from envbuild.instances.config import BIND, VOLUME, Mount, Settings
from envbuild.instances.rootfs import Rootfs
from envbuild.linux.safe_copy import Copier
from envbuild.record import Record

MAX_LINKS = 40
"""As many as the kernel follows in one path (path_resolution(7))."""
MOUNTED = ("dev", "proc", "sys")
"""What is left out of a running instance's root: nothing of it is a file of the instance."""

Open = Callable[[str, int], int]


class Place(Record):
    """One side of a copy: an instance's name and a path in it, or a path of the host (with `instance` None)."""

    instance: str | None
    path: str


@fields
class NothingThere(UsageError):
    """Nothing lies where a path of the command line leads."""

    shown: str

    def text(self) -> tuple[str, str]:
        return f"there is no {self.shown}", "look with: envbuild exec INSTANCE -- ls -l, or ls -l"


@fields
class NoDirectoryThere(UsageError):
    """A path that ends with a slash, with nothing there."""

    shown: str

    def text(self) -> tuple[str, str]:
        return f"there is no directory {self.shown}", "create it first, or leave out the / at the end"


@fields
class LeadsNowhere(UsageError):
    """A path without a name at its end."""

    shown: str

    def text(self) -> tuple[str, str]:
        return f"{self.shown} leads nowhere", "name a file or a directory"


@fields
class EmptyPath(UsageError):
    """A path of the command line has nothing in it."""

    def text(self) -> tuple[str, str]:
        return "the path is empty", "as in: envbuild cp web:/etc/motd ."


@fields
class ShownWhileRunning(UsageError):
    """A path of an instance that is not running lies where something is mounted while it runs."""

    name: str
    mount: Mount

    def text(self) -> tuple[str, str]:
        of_host = self.mount.kind == BIND
        what = self.mount.source if of_host else "a directory in memory"
        hint = f"copy to or from {self.mount.source}" if of_host else f"start it: envbuild start {self.name}"
        return f"{self.name} is not running, and {self.mount.target} shows {what} only while it runs", hint


@fields
class FileInTheWay(UsageError):
    """A directory was to be copied to where a file is."""

    shown: str
    source: str

    def text(self) -> tuple[str, str]:
        return f"{self.shown} is a file", f"{self.source} is a directory: name a directory for it"


@fields
class NotForContent(UsageError):
    """A file was to be copied to what is neither a file nor a directory."""

    shown: str

    def text(self) -> tuple[str, str]:
        return f"{self.shown} is neither a file nor a directory", "choose another name; `-` is standard output"


@fields
class LinkNotFollowed(UsageError):
    """A path of the host ends with a link to a directory."""

    shown: str
    target: str

    def text(self) -> tuple[str, str]:
        return (
            f"{self.shown} is a link to a directory, and links of this machine are not followed",
            f"name the directory itself: {self.target}",
        )


@fields
class EndlessLinks(UsageError):
    """Links lead to each other, or out of the instance where they `may_leave` it."""

    shown: str
    may_leave: bool = False

    def text(self) -> tuple[str, str]:
        out = ", or leads out of the instance" if self.may_leave else ""
        return f"{self.shown} is a loop of symbolic links{out}", "name another place"


@fields
class FileAsDirectory(UsageError):
    """A path goes on behind a file."""

    shown: str

    def text(self) -> tuple[str, str]:
        return f"{self.shown} uses a file as a directory", "leave the / at its end out"


@fields
class NotOpened(UsageError):
    """A path can't be opened, for a `reason` that the system gives."""

    shown: str
    reason: str

    def text(self) -> tuple[str, str]:
        return f"{self.shown} can't be opened: {self.reason}", ""


def place(text: str) -> Place:
    """Return `INSTANCE:PATH`, or a path of the host: one that begins with `/` or `.`, or has no colon before a
    slash."""
    name, colon, path = text.partition(":")
    if not colon or not name or "/" in name or name.startswith("."):
        return Place(None, text)
    # As for docker: without a working directory of its own, from the root.
    return Place(name, "/" + path.lstrip("/"))


def check_mounts(settings: Settings, path: str, name: str) -> None:
    """Raise UsageError for a path where something of the host or memory is mounted as long as the instance runs: a copy
    to there would be hidden by it, and one from there is not what the instance saw."""
    path = os.path.normpath(path)
    over = [
        mount for mount in settings.mounts if path == mount.target or path.startswith(mount.target.rstrip("/") + "/")
    ]
    for mount in over[-1:]:
        if mount.kind != VOLUME:
            raise ShownWhileRunning(name, mount)


def open_on_host(path: str, flags: int) -> int:
    """Open a path of the user's own.

    Links on the way are followed as anywhere; one at the end of where something is written to is not, as the instance
    may have sent it (`copy`).
    """
    return os.open(path, flags | os.O_CLOEXEC)


class Source(Record):
    """What is copied, held open (O_PATH). `name` is what it is called, "" where only its contents can be meant."""

    held: int
    name: str
    directory: bool
    shown: str


@contextmanager
def source_of(opened: Open, path: str, shown: str, *, follow: bool) -> Iterator[Source]:
    """Yield what is at `path`: a link itself unless `follow`, or where a `/` after it says that it leads to a
    folder."""
    if not path:
        raise EmptyPath
    try:
        held = opened(path, os.O_PATH | (0 if follow else os.O_NOFOLLOW))
    except OSError as error:
        raise _explained(error, shown) from error
    try:
        name = os.path.basename(os.path.normpath(path))
        directory = stat.S_ISDIR(os.fstat(held).st_mode)
        contents = directory and (name in ("", ".", "..") or path.endswith("/."))
        yield Source(held, "" if contents else name, directory, shown)
    finally:
        os.close(held)


def copy(source: Source, opened: Open, path: str, shown: str, copier: Copier, leave_out: tuple[str, ...] = ()) -> None:
    """Copy to `path`, by docker's rules: a folder that is there takes what is copied in, under its own name; a file is
    replaced; what is not there gets the name, in a folder that has to be there. Raises UsageError and InTheWay.

    A link at the end of a path of the host is what is replaced, never followed: an earlier copy may have brought it.
    Rootfs an instance it is followed as the instance itself would, and leads nowhere else.
    """
    follow = opened is not open_on_host
    there = _look(opened, path, shown) if follow else _look_at_end(path, shown)
    if there is not None and stat.S_ISDIR(os.fstat(there).st_mode):
        try:
            if not source.name:
                copier.contents(source.held, there, leave_out=leave_out)
            else:
                copier.copy(source.held, there, source.name, source.name)
        finally:
            os.close(there)
        return
    if there is not None:
        kind = os.fstat(there).st_mode
        os.close(there)
        if source.directory:
            raise FileInTheWay(shown, source.shown)
        if not (stat.S_ISREG(kind) or stat.S_ISLNK(kind)):
            raise NotForContent(shown)
    elif path.endswith(("/", "/.")) and not source.directory:
        raise NoDirectoryThere(shown)
    folder, name = _end(opened, path.rstrip("/") or "/", shown, follow=follow)
    try:
        if source.directory and not source.name:
            _new_folder(source, folder, name, copier, leave_out)
        else:
            copier.copy(source.held, folder, name, name)
    finally:
        os.close(folder)


def folder_of(opened: Open, path: str, shown: str) -> int:
    """Return a descriptor of a folder that has to be there."""
    try:
        return opened(path, os.O_PATH | os.O_DIRECTORY)
    except OSError as error:
        raise _explained(error, shown) from error


def _new_folder(source: Source, folder: int, name: str, copier: Copier, leave_out: tuple[str, ...]) -> None:
    os.mkdir(name, 0o700, dir_fd=folder)
    made = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        copier.contents(source.held, made, leave_out=leave_out)
        copier.attributes(made, source.held)
    finally:
        os.close(made)


def _look(opened: Open, path: str, shown: str) -> int | None:
    if not path:
        raise EmptyPath
    try:
        return opened(path, os.O_PATH)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _explained(error, shown) from error


def _look_at_end(path: str, shown: str) -> int | None:
    """Return what of the host is at the end of a path, held open: a link itself.

    Raises UsageError for a link to a folder.
    """
    end = path.rstrip("/")
    while end.endswith("/."):
        end = end[:-2].rstrip("/")
    if not end or os.path.basename(end) in (".", ".."):
        return _look(open_on_host, path, shown)
    held = _look(lambda path, flags: open_on_host(path, flags | os.O_NOFOLLOW), end, shown)
    if held is not None and stat.S_ISLNK(os.fstat(held).st_mode) and os.path.isdir(end):
        os.close(held)
        raise LinkNotFollowed(shown, os.path.realpath(end))
    return held


def _end(opened: Open, path: str, shown: str, *, follow: bool) -> tuple[int, str]:
    """Return the directory and the name that a path leads to in the end: when links at its end are followed, or as it
    is."""
    for _ in range(MAX_LINKS):
        parent, name = os.path.split(path)
        if name in ("", ".", ".."):
            raise LeadsNowhere(shown)
        try:
            folder = opened(parent or ".", os.O_PATH | os.O_DIRECTORY)
        except OSError as error:
            raise _explained(error, os.path.dirname(shown) or shown) from error
        if not follow:
            return folder, name
        try:
            target = os.readlink(name, dir_fd=folder)
        except OSError:
            return folder, name  # no link, or nothing at all
        os.close(folder)
        path = os.path.join(parent, target).rstrip("/")
    raise EndlessLinks(shown)


def _explained(error: OSError, shown: str) -> UsageError:
    if error.errno == errno.ENOENT:
        return NothingThere(shown)
    if error.errno == errno.ENOTDIR:
        return FileAsDirectory(shown)
    if error.errno in (errno.ELOOP, errno.EXDEV):
        return EndlessLinks(shown, may_leave=True)
    return NotOpened(shown, str(error.strerror))


def left_out(place: Rootfs, source: Source) -> tuple[str, ...]:
    """Return what is not copied of the folder `source` in an instance."""
    held, root = os.fstat(source.held), os.fstat(place.root)
    same = (held.st_dev, held.st_ino) == (root.st_dev, root.st_ino)
    return MOUNTED if place.running and same else ()
