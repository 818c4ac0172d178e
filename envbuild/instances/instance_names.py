"""The names of instances: each is a symbolic link that says which instance has it.

A name is taken by making its link: of several commands that want it, one can. What a crash left, a link to an instance
that is not there, is given to whoever wants that name next.
"""

from __future__ import annotations

import fcntl
import os

from envbuild.contexts import contextmanager
from envbuild.errors import WorkFailed, fields
from envbuild.images.reference import BadName
from envbuild.instances.lock import is_held
from envbuild.instances.record import NAMES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_ALLOWED = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
_MAX_LENGTH = 200


@fields
class NameTaken(WorkFailed):
    """Another instance has this name."""

    name: str

    def text(self) -> tuple[str, str]:
        return (
            f"there is an instance '{self.name}' already",
            f"choose another --name, or remove it: envbuild rm {self.name}",
        )


def check_name(name: str, what: str = "an instance") -> None:
    """Raise BadName for what can't be the name of an instance, or of `what`."""
    # A folder has this name, and beside it others that it begins.
    if not name or name.strip(_ALLOWED) or not name[0].isalnum() or len(name) > _MAX_LENGTH:
        raise BadName(name, what)


class Names:
    """The names of one store's instances, which lie in `path`."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._folder = f"{path}/{NAMES}"

    def holder(self, name: str) -> str | None:
        """Return the id that the name leads to, None where it leads to none. It may be that of no instance any more."""
        return _target(self._link(name)) if name and "/" not in name else None

    def is_free(self, name: str) -> bool:
        """Tell whether there is no link for the name at all."""
        return not os.path.lexists(self._link(name))

    def of(self, identity: str) -> str | None:
        """Return the name of an instance whose own record does not say it, None where it has none."""
        try:
            with os.scandir(self._folder) as items:
                return next((item.name for item in items if _target(item.path) == identity), None)
        except FileNotFoundError:
            return None

    def take(self, name: str, identity: str) -> None:
        """Give the name to an instance. Raises NameTaken."""
        link = self._link(name)
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        while True:
            try:
                os.symlink(identity, link)
                return
            except FileExistsError:
                if self._is_taken(link):
                    raise NameTaken(name) from None
            with self._changing():
                # Looked at again: whoever was here before may have taken it. One who just took a dead link away has it
                # in a moment, and what is not there now would then be his.
                if os.path.lexists(link) and not self._is_taken(link):
                    _unlink(link)

    def give_up(self, name: str, identity: str) -> None:
        """Take the name from an instance, if it has it."""
        with self._changing():
            if _target(self._link(name)) == identity:
                _unlink(self._link(name))

    def _link(self, name: str) -> str:
        return f"{self._folder}/{name}"

    def _is_taken(self, link: str) -> bool:
        """Tell whether the name of this link belongs to an instance, also one that is just being made; what a crash
        left does not."""
        holder = _target(link)
        if holder is None:
            return False
        folder = f"{self._path}/{holder}"
        # Twice: it may have got its own name between the first look and the second.
        return os.path.isdir(folder) or is_held(f"{folder}.new") or os.path.isdir(folder)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Meanwhile nobody else takes a link away that somebody may have put there anew."""
        try:
            held = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            yield
            return
        try:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield
        finally:
            os.close(held)


def _target(link: str) -> str | None:
    """Return the id that a name's link says, None where there is no such link."""
    try:
        target = os.readlink(link)
    except OSError:
        return None
    return target if target and "/" not in target and "." not in target else None


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass  # another command was faster
