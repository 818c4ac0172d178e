"""apt's marks of what was installed only because something needed it, after a merge."""

from __future__ import annotations

from envbuild.debian.deb822 import field_texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

MARKS = b"var/lib/apt/extended_states"


def without_asked(merged: bytes, base: bytes, sides: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return apt's marks without those of packages that either side was asked for by name.

    `merged` are the marks of both sides, `base` is dpkg's status before, and `sides` are the (marks, status) of each: a
    package that a side added and did not mark was asked for there.
    """
    marked = marked_names(merged)
    for marks, status in sides:
        missing = marked - marked_names(marks)
        marked -= missing & (_installed(status, missing) - _installed(base, missing)) if missing else set()
    kept = [part for part in _parts(merged) if _name(part) in marked]
    return b"".join(part + b"\n\n" for part in kept)


def _parts(content: bytes) -> list[bytes]:
    return [part.strip(b"\n") for part in content.split(b"\n\n") if part.strip(b"\n")]


def marked_names(marks: bytes) -> set[bytes]:
    """Return the names of the packages that are marked."""
    return {_name(part) for part in _parts(marks)}


def _name(part: bytes) -> bytes:
    for name, line in field_texts(part.decode("utf-8", "surrogateescape")):
        if name == "package":
            return line.partition(":")[2].strip().encode("utf-8", "surrogateescape")
    return b""


def _installed(status: bytes, wanted: set[bytes]) -> set[bytes]:
    installed = set()
    for part in status.split(b"\n\n"):
        first, _, rest = part.lstrip(b"\n").partition(b"\n")
        name = first.removeprefix(b"Package: ").strip()
        if name in wanted and b"Status: install ok installed" in rest:
            installed.add(name)
    return installed
