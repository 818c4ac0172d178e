"""What the user who goes back may change: asked before anything is changed, so that nothing ends half way."""

from __future__ import annotations

import os
from collections.abc import Sequence

from envbuild.tree.entry import Entry


class Rights:
    """What this process may do to files. Root may do all."""

    def __init__(self, uid: int, groups: Sequence[int]) -> None:
        self.uid, self.groups = uid, frozenset(groups)

    @classmethod
    def own(cls) -> Rights:
        """Return those of this process."""
        return cls(os.geteuid(), (os.getegid(), *os.getgroups()))

    def reason_of(self, entry: Entry) -> str:
        """Return why this user can't make a file like `entry`, "" if it can."""
        if self.uid == 0:
            return ""
        if entry.uid != self.uid:
            return f"it belongs to user {entry.uid}: only root can put it back"
        if entry.gid not in self.groups:
            return f"it belongs to group {entry.gid}, which you are not in"
        if entry.kind in "cb":
            return "only root can make a device"
        return ""

    def reason(self, parent: int, entry: Entry, now: Entry | None) -> str:
        """Return why this user can't have what is `now` in a directory become `entry`, "" if it can."""
        return self.reason_of(entry) or self.reason_to_remove(parent, now)

    def reason_to_remove(self, parent: int, now: Entry | None) -> str:
        """Return why this user may not change a directory's names, or this one, "" if it may."""
        if self.uid == 0:
            return ""
        # Not by access(2), which asks for the real user and follows paths; a descriptor has neither.
        if not os.access(f"/proc/self/fd/{parent}", os.W_OK | os.X_OK):
            return "you may not change its directory"
        status = os.fstat(parent)
        sticky = status.st_mode & 0o1000 and status.st_uid != self.uid
        return "only its owner may replace it there" if sticky and now is not None and now.uid != self.uid else ""
