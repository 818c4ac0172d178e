"""passwd(5) and group(5): the one reader of /etc/passwd and /etc/group, of trees and of this machine."""

from __future__ import annotations

from envbuild.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


MAX_ID = 2**32 - 2
"""The number after it means "none" (chown(2))."""
_MAX_DIGITS = 10


class Account(Record):
    """A line of /etc/passwd."""

    name: str
    uid: int
    gid: int
    comment: str
    home: str
    shell: str

    @property
    def line(self) -> str:
        """The line, with the password in the shadow file."""
        return f"{self.name}:x:{self.uid}:{self.gid}:{self.comment}:{self.home}:{self.shell}\n"


class Group(Record):
    """A line of /etc/group."""

    name: str
    gid: int
    members: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """The line, with the password in the shadow file."""
        return f"{self.name}:x:{self.gid}:{','.join(self.members)}\n"


def read_passwd(text: str) -> Iterator[Account]:
    """Yield the accounts of a text of passwd(5). Lines that make no sense are skipped, as the C library does."""
    for line in lines_of(text):
        fields = line.split(":", 7)
        if len(fields) < 7:
            continue
        uid, gid = account_number(fields[2]), account_number(fields[3])
        if uid is not None and gid is not None:
            yield Account(fields[0], uid, gid, fields[4], fields[5], fields[6])


def read_group(text: str) -> Iterator[Group]:
    """Yield the groups of a text of group(5). Lines that make no sense are skipped, as the C library does."""
    for line in lines_of(text):
        fields = line.split(":", 4)
        gid = account_number(fields[2]) if len(fields) >= 4 else None
        if gid is not None:
            yield Group(fields[0], gid, tuple(filter(None, fields[3].split(","))))


def same_accounts(old: bytes, new: bytes) -> bool:
    """Return whether two contents of passwd(5) or group(5) mean the same: in whatever order, and with empty comments in
    either form, as adduser(8) of Debian writes `,,,` where a user has no comment."""
    return _normal(old) == _normal(new)


def account_number(text: str) -> int | None:
    """Return the number of a user or group that a text is; None if the kernel has no such number (credentials(7))."""
    if not text.isascii() or not text.isdigit() or len(text) > _MAX_DIGITS or int(text) > MAX_ID:
        return None
    return int(text)


def lines_of(text: str) -> Iterator[str]:
    """Yield the lines one at a time: all lines of a large file at once take ten times its size. Other characters that
    Python takes for line ends are parts of lines."""
    at = 0
    while at < len(text):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        yield text[at:end]
        at = end + 1


def _normal(content: bytes) -> list[list[bytes]]:
    lines = []
    for line in content.splitlines():
        fields = line.split(b":")
        if len(fields) == 7:
            fields[4] = fields[4].rstrip(b",")
        elif len(fields) == 4:
            fields[3] = b",".join(sorted(fields[3].split(b",")))
        lines.append(fields)
    return sorted(lines)
