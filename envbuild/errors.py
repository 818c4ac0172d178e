"""What can go wrong that a user can act on: a closed family of errors.



Each part of envbuild defines its own errors, as a subclass of one of the four kinds, which are the documented exit
codes. An error has fields: what is wrong, where, and with what it could be mended. Its `text` makes the message and the
hint from them; the hint, shown in a line of its own, is the way out. Only the command line shows them (ui/errors.py).
An exception of any other type that reaches the command line is a bug of ours, and is shown as one.
"""

from __future__ import annotations

import errno

from envbuild.record import dataclass_transform

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar

    Kind = TypeVar("Kind", bound="type[EnvbuildError]")


class EnvbuildError(Exception):
    """An error that the user can mend."""

    exit_code = 2
    __match_args__: tuple[str, ...] = ()

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.reported = False
        """Whether a display has shown it while it happened, so that it isn't shown again at the end."""

    def text(self) -> tuple[str, str]:
        """Return the message and the hint, made from the fields."""
        return self.message, self.hint


@dataclass_transform()
def fields(kind: Kind) -> Kind:
    """Turn the annotations of an error's class into fields, which are given by position or by name.

    The class defines `text`. Its module has `from __future__ import annotations`.
    """
    # Type checkers make both of the fields themselves.
    setattr(kind, "__match_args__", (*kind.__match_args__, *kind.__annotations__))  # noqa: B010
    setattr(kind, "__init__", _set_fields)  # noqa: B010
    return kind


def _set_fields(error: EnvbuildError, *positional: Any, **named: Any) -> None:
    names = error.__match_args__
    values = {**dict(zip(names, positional, strict=False)), **named}
    for name in names:
        # A default is an attribute of the class.
        setattr(error, name, values.pop(name) if name in values else getattr(type(error), name))
    if values or len(positional) > len(names):
        raise TypeError(f"{type(error).__name__} has the fields {names}, not {(*positional, *named)}")
    EnvbuildError.__init__(error, *error.text())


class UsageError(EnvbuildError):
    """The recipe or the command line asks for something that isn't there or makes no sense (exit 2)."""


@fields
class BadOption(UsageError):
    """A value that an option or a variable (`where`) can't have; `kind` is what it takes, `example` shows it."""

    where: str
    value: str
    kind: str
    example: str

    def text(self) -> tuple[str, str]:
        return f"{self.where}: '{self.value}' is not a valid {self.kind}", f"as in: {self.example}"


@fields
class FileUnusable(UsageError):
    """A file that the user named can't be read or written, for a `reason` that the system gives."""

    path: str
    reason: str
    mend: str
    where: str = ""

    def text(self) -> tuple[str, str]:
        where = f"{self.where}: " if self.where else ""
        return f"{where}{self.path}: {self.reason}", self.mend


class WorkFailed(EnvbuildError):
    """A step, a test or a check did not succeed (exit 1)."""

    exit_code = 1


class MachineLacks(EnvbuildError):
    """This machine can't do what is needed; the hint names what to install or to change (exit 3)."""

    exit_code = 3


@fields
class DiskTrouble(MachineLacks):
    """A file can't be read or written, although it may be: the disk is full, broken or read-only, or too many files are
    open."""

    error: OSError

    def text(self) -> tuple[str, str]:
        hint = "free some space on its disk (envbuild gc), or mend the disk; then run the same command again"
        if self.error.errno in (errno.EMFILE, errno.ENFILE):
            hint = "raise the limit on open files (ulimit -n), or build with --jobs 1; then run the same command again"
        path = f"{self.error.filename}: " if self.error.filename else ""
        return f"{path}{self.error.strerror or self.error}", f"{hint}: what had finished is kept"


DISK_TROUBLE = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE)
"""The numbers of errors that are DiskTrouble."""


class Interrupted(EnvbuildError):
    """The user ended the command (exit 130)."""

    exit_code = 130

    def __init__(self) -> None:
        super().__init__("interrupted", "what had finished is kept; run the same command to go on")
