"""Which parts of a lock a statement about packages has, by its place among such statements."""

from __future__ import annotations

from envbuild.build.graph import Stage
from envbuild.language.model import Apt, Npm, OfLock, Pip, Statement
from envbuild.lockfile.lock import LockedInstall, LockedStage
from envbuild.plan.planner import managers_of


def pins_of(locked: LockedStage | None, stage: Stage, statement: Statement) -> tuple[LockedInstall, ...] | None:
    """Return what a lock has for a statement, a part for each of its steps; None if it does not say it."""
    first = 0
    for written in stage.written.statements:
        if not isinstance(written, (Apt, Pip, Npm, OfLock)):
            continue
        managers = managers_of(written)
        if written is statement:
            installs = locked.installs[first : first + len(managers)] if locked is not None else ()
            return installs if tuple(install.manager for install in installs) == managers else None
        first += len(managers)
    return None
