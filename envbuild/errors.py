"""What can go wrong that a user can act on: the root of the closed family of errors.

Each part of envbuild derives its own kinds from these four, which are the documented exit codes. A message says
what is wrong; the hint, shown in a line of its own, says how to mend it. An exception of any other type that
reaches the command line is a bug of ours, and is shown as one.
"""

from __future__ import annotations

import errno


class EnvbuildError(Exception):
    """An error that is the user's to mend."""

    exit_code = 2

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.told = False
        """Whether the user has been told of it while it happened, so that the end need not repeat it."""


class UsageError(EnvbuildError):
    """The recipe or the command line asks for something that isn't there or makes no sense (exit 2)."""


class WorkFailed(EnvbuildError):
    """A step, a test or a check did not succeed (exit 1)."""

    exit_code = 1


class MachineLacks(EnvbuildError):
    """This machine can't do what is needed; the hint names what to install or to change (exit 3)."""

    exit_code = 3


class DiskTrouble(MachineLacks):
    """A file could not be read or written, and not for want of a right: the disk is full, broken or read-only, or too
    many files are open."""

    def __init__(self, error: OSError) -> None:
        named = f"{error.filename}: " if error.filename else ""
        hint = "free some space on its disk (envbuild gc), or mend the disk; then run the same command again"
        if error.errno in (errno.EMFILE, errno.ENFILE):
            hint = "raise the limit on open files (ulimit -n), or build with --jobs 1; then run the same command again"
        super().__init__(f"{named}{error.strerror or error}", f"{hint}: what had finished is kept")


DISK_TROUBLE = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE)
"""The numbers of errors that are DiskTrouble."""


class Interrupted(EnvbuildError):
    """The user ended the command (exit 130)."""

    exit_code = 130

    def __init__(self) -> None:
        super().__init__("interrupted", "what had finished is kept; run the same command to go on")
