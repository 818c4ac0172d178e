"""What the user decided about conflicts: which side, by path, by package or by fact."""

from __future__ import annotations

from envbuild.errors import UsageError, fields
from envbuild.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

OURS, THEIRS = "ours", "theirs"
ALL = "all"
"""Decides every conflict."""


@fields
class NoSuchConflict(UsageError):
    """A choice for something that does not conflict."""

    name: str
    names: tuple[str, ...]

    def text(self) -> tuple[str, str]:
        from envbuild.text.suggestion import did_you_mean

        known = "there are no conflicts" if not self.names else "without it, merge lists the conflicts"
        if self.name in self.names:
            return f"no side of '{self.name}' can be chosen", "give accounts of THEIRS other numbers: --renumber"
        return f"nothing conflicts that is called '{self.name}'", did_you_mean(self.name, self.names, known)


@fields
class ChosenTwice(UsageError):
    """A conflict for which both sides were chosen."""

    name: str

    def text(self) -> tuple[str, str]:
        return f"'{self.name}' is chosen from both sides", "give it to --ours or to --theirs"


class Choices(Record):
    """Names of conflicts that take our side, and of those that take theirs: `/PATH` (or a directory, for all conflicts
    in it), a package (`nginx`, `dpkg:nginx`), a fact (`env.PATH`), or `all`. With `renumber` an account of theirs whose
    number ours gave to another gets the next free one, and so do the owners of the files that theirs changed.
    `contents` are the whole contents of files that conflict, by path."""

    ours: tuple[str, ...] = ()
    theirs: tuple[str, ...] = ()
    renumber: bool = False
    contents: tuple[tuple[bytes, bytes], ...] = ()

    def check(self) -> None:
        """Raise ChosenTwice."""
        for name in self.ours:
            if name in self.theirs:
                raise ChosenTwice(name)

    def side_of_path(self, path: bytes) -> str:
        """Return the side that was chosen for a path: by the longest name that it lies in, "" for none."""
        text = _named(path)
        best, side = -1, ""
        for chosen, names in ((OURS, self.ours), (THEIRS, self.theirs)):
            for name in names:
                if name == ALL and best < 0:
                    best, side = 0, chosen
                elif name.startswith("/"):
                    folder = name.rstrip("/")
                    if (text == folder or text.startswith(f"{folder}/")) and len(folder) + 1 > best:
                        best, side = len(folder) + 1, chosen
        return side

    def side_of(self, *names: str) -> str:
        """Return the side that was chosen for a package or a fact with one of these names, "" for none."""
        for chosen, given in ((OURS, self.ours), (THEIRS, self.theirs)):
            if any(name in given for name in names):
                return chosen
        for chosen, given in ((OURS, self.ours), (THEIRS, self.theirs)):
            if ALL in given:
                return chosen
        return ""

    def unused(self, used: Iterable[str]) -> list[str]:
        """Return the choices that decided nothing; `used` are the names of all that was decided."""
        names = set(used)
        given = [*self.ours, *self.theirs, *(_named(path) for path, _ in self.contents)]
        return [name for name in given if name != ALL and not _decides(name, names)]


def _named(path: bytes) -> str:
    return "/" + path.decode("utf-8", "surrogateescape")


def _decides(name: str, used: set[str]) -> bool:
    if name in used:
        return True
    folder = f"{name.rstrip('/')}/"
    return name.startswith("/") and any(each == name.rstrip("/") or each.startswith(folder) for each in used)
