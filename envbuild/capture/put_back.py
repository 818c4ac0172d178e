"""Puts paths of a machine back, each at once: whoever looks, or kills this, sees what was there before or what comes,
whole and with all its attributes.

A file, a link or a whole directory that is not there is made in a closed room beside its place and renamed. Nothing
is found by a path that somebody else could lead elsewhere: a directory is opened component by component without links,
and what is done in it is done to the open directory. What was changed since it was looked at is left alone.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from typing import Self

from envbuild.capture.live_entry import LinkOnTheWay, identity_of, open_parent
from envbuild.capture.restore_plan import RestorePlan, Step, is_record, room_of
from envbuild.capture.stored_contents import Contents
from envbuild.linux.rmtree import remove
from envbuild.linux.safe_copy import copy_content
from envbuild.linux.syscalls import RENAME_EXCHANGE, RENAME_NOREPLACE, renameat2
from envbuild.record import Record
from envbuild.store import failpoints
from envbuild.tree.entry import BLOCK_DEVICE, CHARACTER_DEVICE, DIRECTORY, FIFO, FILE, LINK, TYPE_BITS, Entry
from envbuild.tree.lookup import Trees

LABELS = ("security.selinux", "security.SMACK64")
"""Attributes that the machine's own policy gives: a file keeps those of the one that it replaces."""
_NEW = b"new"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Failed(Record):
    """A path that could not be put back, and stays as it was."""

    path: bytes
    reason: str


class ChangedMeanwhile(Exception):
    """A path is no longer what it was when it was looked at."""


class PutBack:
    """Does what a plan says, below the open directory `root`."""

    def __init__(self, trees: Trees, contents: Contents, root: int, plan: RestorePlan) -> None:
        self._trees, self._contents, self._root = trees, contents, root
        self._steps, self._leftovers = plan.steps, plan.leftovers
        self._skipped = {refused.path for refused in plan.refused}
        self._owners = os.geteuid() == 0

    def run(self, report: Callable[[str, int, int], None]) -> tuple[list[Step], list[Failed]]:
        """Return the steps that were done, and those that were not."""
        for path in self._leftovers:
            self._clear(path)
        done, failed = [], []
        for number, step in enumerate(self._steps):
            report("paths", number, len(self._steps))
            try:
                self._perform(step)
            except ChangedMeanwhile:
                failed.append(Failed(step.path, "it was changed meanwhile"))
            except LinkOnTheWay:
                failed.append(Failed(step.path, "a link was put on the way to it"))
            except OSError as error:
                reason = "it is mounted by itself" if error.errno == errno.EBUSY else str(error.strerror)
                failed.append(Failed(step.path, reason))
            else:
                done.append(step)
        return done, failed

    def _clear(self, path: bytes) -> None:
        """Remove what a restore of this user that was killed left."""
        try:
            parent = open_parent(self._root, path)
        except OSError:
            return
        name = path.rpartition(b"/")[2]
        try:
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid():
                remove(f"/proc/self/fd/{parent}/{os.fsdecode(name)}")
        except OSError:
            pass  # it is in nobody's way
        finally:
            os.close(parent)

    def _perform(self, step: Step) -> None:
        parent = open_parent(self._root, step.path) if step.path else os.dup(self._root)
        name = step.path.rpartition(b"/")[2] or b"."
        try:
            if step.entry is None:
                self._check(parent, name, step)
                (os.rmdir if _is_directory(step.now) else os.unlink)(name, dir_fd=parent)
            elif step.entry.kind == DIRECTORY and not step.is_new_directory:
                self._alter(parent, name, step)
            else:
                self._replace(parent, name, step)
            os.fsync(parent)
        finally:
            os.close(parent)

    def _check(self, parent: int, name: bytes, step: Step) -> None:
        """Raise ChangedMeanwhile if something else than was looked at has the name now."""
        try:
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            if step.now is not None:
                raise ChangedMeanwhile from None
            return
        # A directory's time is that of the last change in it, which may be a step of this plan.
        length = 2 if stat.S_ISDIR(status.st_mode) else 3
        if step.now is None or identity_of(status)[:length] != step.now.identity[:length]:
            raise ChangedMeanwhile

    def _replace(self, parent: int, name: bytes, step: Step) -> None:
        entry = step.entry
        assert entry is not None
        with _Room(parent, name) as room:
            self._make(room.descriptor, _NEW, entry, step.path, self._labels(parent, name, step))
            self._check(parent, name, step)
            failpoints.at(failpoints.PUT_BACK)
            try:
                if step.now is None:
                    renameat2(room.descriptor, _NEW, parent, name, RENAME_NOREPLACE)
                elif entry.kind == DIRECTORY:
                    renameat2(room.descriptor, _NEW, parent, name, RENAME_EXCHANGE)
                else:
                    os.rename(_NEW, name, src_dir_fd=room.descriptor, dst_dir_fd=parent)
            except FileExistsError:
                raise ChangedMeanwhile from None

    def _labels(self, parent: int, name: bytes, step: Step) -> dict[str, bytes]:
        now = step.now.entry if step.now is not None else None
        if now is None or step.entry is None or now.kind != FILE or step.entry.kind != FILE:
            return {}
        held = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            path = f"/proc/self/fd/{held}"
            return {label: os.getxattr(path, label) for label in LABELS if label in os.listxattr(path)}
        except OSError:
            return {}
        finally:
            os.close(held)

    def _make(self, parent: int, name: bytes, entry: Entry, path: bytes, labels: dict[str, bytes]) -> None:
        """Make what an entry says in a directory that nobody else may enter."""
        if entry.kind == DIRECTORY:
            self._make_directory(parent, name, entry, path)
            return
        if entry.kind == FILE:
            self._make_file(parent, name, entry, labels)
            return
        if entry.kind == LINK:
            os.symlink(entry.target, name, dir_fd=parent)
        elif entry.kind == FIFO:
            os.mkfifo(name, 0o600, dir_fd=parent)
        elif entry.kind in (CHARACTER_DEVICE, BLOCK_DEVICE):
            major, minor = map(int, entry.target.split(b":"))
            os.mknod(name, TYPE_BITS[entry.kind] | 0o600, os.makedev(major, minor), dir_fd=parent)
        if self._owners:
            os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
        if entry.kind != LINK:
            os.chmod(name, entry.mode, dir_fd=parent)
        os.utime(name, ns=(entry.mtime, entry.mtime), dir_fd=parent, follow_symlinks=False)

    def _make_directory(self, parent: int, name: bytes, entry: Entry, path: bytes) -> None:
        os.mkdir(name, 0o700, dir_fd=parent)
        made = os.open(name, _DIRECTORY, dir_fd=parent)
        try:
            for inner in self._trees.load(entry.digest):
                below = path + b"/" + inner.name
                if inner.name == b"." or below in self._skipped or is_record(self._trees, below, inner):
                    continue
                self._make(made, inner.name, inner, below, {})
            self._attributes(made, entry)
            os.fsync(made)
        finally:
            os.close(made)

    def _make_file(self, parent: int, name: bytes, entry: Entry, labels: dict[str, bytes]) -> None:
        source = self._contents.open(entry)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            made = os.open(name, flags, 0o600, dir_fd=parent)
            try:
                copy_content(source, made, os.fstat(source))
                for label, value in labels.items():
                    os.setxattr(made, label, value)
                self._attributes(made, entry)
                os.fsync(made)
            finally:
                os.close(made)
        finally:
            os.close(source)

    def _attributes(self, made: int, entry: Entry) -> None:
        if self._owners or (entry.uid, entry.gid) != (os.geteuid(), os.getegid()):
            os.fchown(made, entry.uid if self._owners else -1, entry.gid)
        # After chown, which clears the set-user-id bit.
        os.fchmod(made, entry.mode)
        for name, value in entry.xattrs:
            os.setxattr(made, os.fsdecode(name), value)
        os.utime(made, ns=(entry.mtime, entry.mtime))

    def _alter(self, parent: int, name: bytes, step: Step) -> None:
        """Give a directory that stays its attributes."""
        entry = step.entry
        now = step.now.entry if step.now is not None else None
        assert entry is not None
        assert now is not None
        assert step.now is not None
        held = os.open(name, _DIRECTORY, dir_fd=parent)
        try:
            if identity_of(os.fstat(held))[:2] != step.now.identity[:2]:
                raise ChangedMeanwhile
            # At no point may anybody do what neither the old nor the new attributes let him do.
            os.fchmod(held, entry.mode & now.mode)
            if (now.uid, now.gid) != (entry.uid, entry.gid):
                os.fchown(held, entry.uid if self._owners else -1, entry.gid)
            kept = dict(entry.xattrs)
            for attribute, _ in now.xattrs:
                if attribute not in kept:
                    os.removexattr(held, os.fsdecode(attribute))
            for attribute, value in entry.xattrs:
                os.setxattr(held, os.fsdecode(attribute), value)
            os.fchmod(held, entry.mode)
        finally:
            os.close(held)


def _is_directory(live: object) -> bool:
    entry = getattr(live, "entry", None)
    return entry is not None and entry.kind == DIRECTORY


class _Room:
    """A directory beside a path, that nobody else may enter: what is to have the path is made in it."""

    def __init__(self, parent: int, name: bytes) -> None:
        self._name = os.fsdecode(room_of(name))
        self._path = f"/proc/self/fd/{parent}/{self._name}"
        remove(self._path)
        os.mkdir(self._name, 0o700, dir_fd=parent)
        self.descriptor = os.open(self._name, _DIRECTORY, dir_fd=parent)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)
        try:
            remove(self._path)
        except OSError:
            pass  # whoever moved it has it
