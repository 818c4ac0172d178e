"""The record of what a step read of its parent tree, and its form in bytes.

The form is one of zlib over this text:

    envbuild reads 1 LF REASON LF, and for each path: ACCESS SPACE PATH NUL

ACCESS is two hexadecimal digits; the paths are sorted, each once. A record may come from somebody else's cache: `parse`
takes back nothing that `dump` does not write.
"""

from __future__ import annotations

import zlib

from envbuild.errors import WorkFailed, fields
from envbuild.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    Access = int
    """The sum of some of the flags below."""

ABSENT = 1
"""Nothing was there. Goes with no other flag; stands at the first name of a path that was missing, so that nothing
below it has to be listed."""
RIGHTS = 2
"""Its kind, mode, owner and extended attributes; no times, no size, and of a link not the target."""
ATTRIBUTES = 4
"""All that stat(2) tells: RIGHTS, and the size and the time of its last change."""
CONTENT = 8
"""Everything of it: ATTRIBUTES, and the bytes of a file, the target of a link, the number of a device. For a directory
the same as ATTRIBUTES."""
LISTING = 16
"""The names in a directory, with the kind of each; nothing else of what has these names."""
_ALL = ABSENT | RIGHTS | ATTRIBUTES | CONTENT | LISTING

MAX_PATHS = 1 << 20
"""A record has as many paths at most; a step that reads more can't be traced."""
MAX_BYTES = 1 << 27
"""The text of a record is no longer than this, and a step's that would be can't be traced."""
MAX_PATH, MAX_NAME, MAX_REASON = 4095, 255, 1000
_HEAD = b"envbuild reads 1\n"


@fields
class BadReads(WorkFailed):
    """What should be a record of what a step read is none."""

    reason: str

    def text(self) -> tuple[str, str]:
        return f"the record of what a step read is damaged: {self.reason}", ""


class Reads(Record):
    """What a step read of its parent tree.

    `paths` has every entry of the parent tree that the step's outcome can depend on, and what of it. Paths are as in
    envbuild.tree.lookup: no slashes around them, b"" for the root, free of links: each link that was followed is an
    entry of its own, with CONTENT. RIGHTS of all directories above a path go without saying: they were searched.
    What the step itself wrote is not in it, but that nothing was there before is.

    With a text in `untraceable` the record is not complete, and the step depends on the whole tree; the text says why,
    to be read behind "the step".
    """

    paths: Mapping[bytes, Access]
    untraceable: str = ""


def dump(reads: Reads) -> bytes:
    """Return the form of a record in bytes. parse(dump(reads)) == reads, for a record within the limits."""
    lines = [b"%02x %s\0" % (access, path) for path, access in sorted(reads.paths.items())]
    reason = reads.untraceable.encode("utf-8", "backslashreplace").replace(b"\n", b" ")[:MAX_REASON]
    return zlib.compress(b"".join([_HEAD, reason, b"\n", *lines]), 1)


def parse(data: bytes) -> Reads:
    """Return the record that `dump` made `data` of. Raises BadReads."""
    try:
        unpacker = zlib.decompressobj()
        text = unpacker.decompress(data, MAX_BYTES)
    except zlib.error as error:
        raise BadReads(str(error)) from error
    if not unpacker.eof or unpacker.unused_data:
        raise BadReads("it is too long, cut short, or something follows it")
    head, line_end, rest = text[len(_HEAD) :].partition(b"\n")
    if not text.startswith(_HEAD) or not line_end or len(head) > MAX_REASON:
        raise BadReads("it is of another form")
    try:
        reason = head.decode()
    except UnicodeDecodeError as error:
        raise BadReads("its reason is no text") from error
    *lines, end = rest.split(b"\0", MAX_PATHS)
    if end:
        raise BadReads("it has too many paths, or the last one is cut short")
    paths: dict[bytes, Access] = {}
    last: bytes | None = None
    for line in lines:
        path = line[3:]
        access = _ACCESSES.get(line[:3], 0)
        if not access or (last is not None and path <= last) or not is_canonical(path):
            raise BadReads("a path of it is not canonical")
        paths[path] = access
        last = path
    return Reads(paths, reason)


_ACCESSES = {b"%02x " % access: access for access in range(1, _ALL + 1) if access == ABSENT or not access & ABSENT}


def is_canonical(path: bytes) -> bool:
    """Tell whether a path is one that a record may have."""
    if not path:
        return True
    if len(path) > MAX_PATH or b"\0" in path:
        return False
    return all(0 < len(name) <= MAX_NAME and name != b"." and name != b".." for name in path.split(b"/"))
