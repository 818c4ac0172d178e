"""The files of a system that Debian packages shipped, with the md5 that each had then, by dpkg's own records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from envbuild.debian.deb822 import conffiles_of, stanzas
from envbuild.debian.left_behind import INFO
from envbuild.record import NamedTuple

STATUS = "/var/lib/dpkg/status"
DIVERSIONS = "/var/lib/dpkg/diversions"
_LINKED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "libo32")
"""What is a link at the root where /usr is merged: packages may name either path."""
_INSTALLED = " installed"


class ShippedFile(NamedTuple):
    """A file as its package shipped it: `path` is the one in the package's archive, without a slash before it, `md5` of
    its content. `configuration` is whether dpkg asks before it replaces one that was changed."""

    package: str
    version: str
    architecture: str
    path: str
    md5: str
    configuration: bool = False


def shipped_files(
    read: Callable[[str], str | None], names: Callable[[str], Iterable[str]], link: Callable[[str], str | None]
) -> dict[str, ShippedFile]:
    """Return what the installed packages shipped, by the path at which it lies, without a slash before it.

    `read` returns the text of a file of the system, `names` those in a directory, and `link` where a link leads; None
    or nothing where there is none. What dpkg does not say of a path, such as a local diversion to a path of another
    package, may be wrong here, so whoever relies on it compares the md5.
    """
    above = {name: target.strip("/") for name in _LINKED if (target := link(f"/{name}"))}
    diverted = _diversions(read(DIVERSIONS) or "", above)
    present = frozenset(names(f"/{INFO}"))
    shipped: dict[str, ShippedFile] = {}
    for fields in stanzas(read(STATUS) or ""):
        name, version, architecture = (fields.get(field, "") for field in ("package", "version", "architecture"))
        if not fields.get("status", "").endswith(_INSTALLED) or not (name and version and architecture):
            continue
        for path, md5, configuration in _sums(read, present, fields, name, architecture):
            real = _real(path, above)
            owner, moved = diverted.get(real, (name, real))
            file = ShippedFile(name, version, architecture, path, md5, configuration)
            shipped[real if owner == name else moved] = file
    return shipped


def _sums(
    read: Callable[[str], str | None],
    present: frozenset[str],
    fields: Mapping[str, str],
    name: str,
    architecture: str,
) -> Iterator[tuple[str, str, bool]]:
    for record in (f"{name}:{architecture}.md5sums", f"{name}.md5sums"):
        if record in present:
            for line in (read(f"/{INFO}{record}") or "").splitlines():
                md5, gap, path = line.partition("  ")
                if gap:
                    yield path.lstrip("/"), md5, False
            break
    for path, md5 in conffiles_of(fields, obsolete=False):
        yield path.lstrip("/"), md5, True


def _diversions(text: str, above: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return who keeps others from each path, and where theirs lies."""
    lines = text.splitlines()
    return {
        _real(path.lstrip("/"), above): ("" if owner == ":" else owner, _real(moved.lstrip("/"), above))
        for path, moved, owner in zip(lines[::3], lines[1::3], lines[2::3], strict=False)
    }


def _real(path: str, above: Mapping[str, str]) -> str:
    """Return a path with a link at the root resolved."""
    head, slash, rest = path.partition("/")
    return f"{above[head]}/{rest}" if slash and head in above else path
