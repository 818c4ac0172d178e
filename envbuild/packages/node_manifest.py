"""package.json of an installed package, as far as the layout of node_modules follows from it."""

from __future__ import annotations

import json
from collections.abc import Callable
from posixpath import basename, join

from envbuild.packages.npm_archive import MAX_NAME, Odd

MAX_MANIFEST = 4 << 20
MAX_PROGRAMS = 1000
_BOM = "\ufeff"


def manifest_of(content: bytes) -> dict[str, object]:
    """Return what a package.json says, nothing for one that says no object. Raises Odd for what is no JSON."""
    if len(content) > MAX_MANIFEST:
        raise Odd
    try:
        plain = json.loads(content.decode("utf-8", "replace").removeprefix(_BOM), parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise Odd from None
    return plain if isinstance(plain, dict) else {}


def programs_of(manifest: dict[str, object], names_in: Callable[[str], list[str] | None]) -> list[tuple[str, str]]:
    """Return the programs that a package.json names (npm's documentation, "package.json": bin, directories.bin), each
    with its path in the package, in the order in which they are linked. `names_in` gives the names in a directory of
    the package. Raises Odd."""
    said = manifest.get("bin")
    if isinstance(said, str):
        name = manifest.get("name")
        if not isinstance(name, str):
            raise Odd
        said = {name.rpartition("/")[2]: said}
    elif not said and not isinstance(said, (dict, list)):
        directories = manifest.get("directories")
        where = directories.get("bin") if isinstance(directories, dict) else None
        if not where:
            return []
        names = names_in(_plain_path(where.rstrip("/"))) if isinstance(where, str) else None
        if names is None:
            raise Odd
        said = {name: join(where, name) for name in names}
    if not isinstance(said, dict) or len(said) > MAX_PROGRAMS:
        raise Odd
    return [(_name_of(name), _plain_path(said[name])) for name in sorted(said, key=_as_sorted)]


def _name_of(name: str) -> str:
    """Return what a program is called in .bin."""
    plain = basename(name.rstrip("/"))
    if plain in ("", ".", "..") or not plain.isprintable() or len(plain.encode()) > MAX_NAME:
        raise Odd
    return plain


def _plain_path(path: object) -> str:
    """Return a path in a package without anything that changes nothing."""
    if not isinstance(path, str) or path.endswith("/"):
        raise Odd
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts or ".." in parts or not all(part.isprintable() for part in parts):
        raise Odd
    return "/".join(parts)


def _as_sorted(name: str) -> bytes:
    """Return what JavaScript sorts a text by."""
    try:
        return name.encode("utf-16-be")
    except UnicodeEncodeError:
        raise Odd from None


def _refuse(name: str) -> object:
    raise ValueError(name)
