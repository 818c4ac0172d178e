"""poetry.lock: a list of packages with groups and markers, as Poetry 2 writes it (as `poetry install` takes it), or a
graph, as Poetry 1 does."""

from __future__ import annotations

from collections.abc import Iterator
from posixpath import normpath

from envbuild.packages.python_locks.document import Table, UnusableLockFile, read_toml
from envbuild.packages.python_locks.pinned import (
    Choice,
    Pinned,
    TargetPython,
    file_named,
    normal_names,
    of_address,
)
from envbuild.packages.python_locks.poetry_graph import MAIN, VERSIONS, packages_wanted
from envbuild.packages.python_locks.uv_lock import chosen, not_a_file
from envbuild.packages.python_names import normal_name
from envbuild.packages.python_versions import BadSpecifier, compare

_INDEXES = ("", "legacy")
"""Types of sources that are indexes."""


def read_poetry_lock(
    path: str, content: bytes, project: Table | None, choice: Choice, target: TargetPython
) -> list[Pinned]:
    """Return what a poetry.lock pins for a Python, in the order of its names; `project` is the pyproject.toml beside
    it, which says which groups are optional. Raises UnusableLockFile."""
    lock = read_toml(path, content)
    metadata = lock.table("metadata")
    version = metadata.text("lock-version")
    if not version.startswith("2.") and version not in VERSIONS:
        raise UnusableLockFile(
            path,
            f"it has lock-version {version[:20]!r}, which is not known",
            "Poetry 2 keeps the versions and writes it in its own form: poetry lock",
        )
    target.check_version(metadata, "python-versions", "it")
    apart: dict[str, list[Table]] = {}
    if version in VERSIONS:
        packages = packages_wanted(lock, project, choice, target, apart)
    else:
        packages = _of_groups(lock, project, choice, target)
    wanted: dict[str, Pinned] = {}
    for package in packages:
        source = package.table("source")
        if source.text("type") == "directory" and normpath(source.text("url")) in choice.folders:
            continue
        pinned = _pinned(package, apart)
        if wanted.setdefault(pinned.name, pinned) is not pinned:
            raise package.wrong("is there more than once for this Python", "lock it anew")
    return [wanted[name] for name in sorted(wanted)]


def _of_groups(lock: Table, project: Table | None, choice: Choice, target: TargetPython) -> Iterator[Table]:
    """Yield the packages that are wanted, as they themselves say."""
    packages = list(lock.packages("package"))
    extras = chosen(lock, "extra", choice.extras, set(normal_names(lock.table("extras").names())))
    groups = _groups(lock, packages, project, choice)
    return (package for package in packages if _is_wanted(package, groups, extras, target))


def _groups(lock: Table, packages: list[Table], project: Table | None, choice: Choice) -> frozenset[str]:
    """Return the groups that count: all that are not optional, and those that are chosen."""
    known = {normal_name(group) for package in packages for group in package.texts("groups")} | {MAIN}
    settings = None if project is None else project.table("tool").table("poetry").table("group")
    optional = set()
    for name in settings.names() if settings is not None else ():
        known.add(normal_name(name))
        if settings is not None and settings.table(name).value("optional") is True:
            optional.add(normal_name(name))
    named = chosen(lock, "group", choice.groups, known)
    return (frozenset(known - optional) | named) - chosen(lock, "group", choice.without, known)


def _is_wanted(package: Table, groups: frozenset[str], extras: frozenset[str], target: TargetPython) -> bool:
    """Return whether a package is in one of the groups, with a marker that holds there."""
    markers = package.value("markers")
    for group in package.texts("groups"):
        if normal_name(group) not in groups:
            continue
        marker = package.table("markers").text(group) if isinstance(markers, dict) else package.text("markers")
        if target.wants(package, marker, extras):
            return True
    return False


def _is_of(package: Table, table: Table) -> bool:
    """Return whether a file is of a package's version: where files stand apart, those of all versions are together."""
    try:
        file = file_named(package, table.text("file"), "")
        return compare(file.name.version, "==", package.version())
    except BadSpecifier:
        return False


def _pinned(package: Table, apart: dict[str, list[Table]]) -> Pinned:
    source, name = package.table("source"), package.name()
    kind, url = source.text("type"), source.text("url")
    tables = package.tables("files") or [table for table in apart.get(name, []) if _is_of(package, table)]
    if kind == "url":
        if len(tables) != 1:
            raise package.wrong("comes from an address and has not one file")
        address, file = of_address(package, url, tables[0].sha256())
        return Pinned(name, package.version(), (file,), address=address)
    if kind not in _INDEXES:
        raise not_a_file(package, kind, url)
    if not tables:
        raise package.wrong("has no files with hashes", "make it anew with: poetry lock")
    files_named = tuple(file_named(package, table.text("file"), table.sha256()) for table in tables)
    return Pinned(name, package.version(), files_named, index=url)
