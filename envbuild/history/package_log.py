"""What a machine's package manager wrote down that it did, as a capture keeps it (capture/state/package_log.py)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from envbuild.history.state_changes import PACKAGE_LOG
from envbuild.images.capture_record import PASSING, read_state, rows_of
from envbuild.record import Record
from envbuild.store.store import Store
from envbuild.tree.entry import Digest

_FIELDS = 6
"""Time (UTC), command line ("" if only dpkg knows of it), what was done, the package, the version before and after."""
SLACK = 120.0
"""Seconds that a capture may take: what was done meanwhile is in the next one."""
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


class PackageAction(Record):
    """What was done with a package, `verb` in the words of its log: at a time in seconds since 1970, by a command."""

    moment: float
    command: str
    verb: str
    package: str
    old: str
    new: str


def actions_between(store: Store, tree: Digest, begin: float | None, end: float) -> Iterator[PackageAction]:
    """Yield what a capture has on record of the time between two captures, the last first; without `begin`, of all time
    before. Raises BadCaptureRecord."""
    for fields in reversed(rows_of(read_state(store, tree, PASSING).get(PACKAGE_LOG, ""))):
        if len(fields) != _FIELDS or not _TIME.fullmatch(fields[0]):
            continue
        try:
            moment = datetime.strptime(fields[0], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
        except ValueError:
            continue
        if (begin is None or begin - SLACK <= moment) and moment <= end:
            yield PackageAction(moment, *fields[1:])
