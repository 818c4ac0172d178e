"""pylock.toml: a list of packages with markers (Python packaging's "pylock.toml Specification", "Installation")."""

from __future__ import annotations

from posixpath import normpath

from envbuild.packages.python_locks.document import Table, UnusableLockFile, read_toml
from envbuild.packages.python_locks.pinned import (
    Choice,
    Pinned,
    PinnedFile,
    TargetPython,
    file_named,
    normal_names,
    of_address,
)
from envbuild.packages.python_locks.uv_lock import chosen, not_a_file


def read_pylock(path: str, content: bytes, project: Table | None, choice: Choice, target: TargetPython) -> list[Pinned]:
    """Return what a pylock.toml pins for a Python, in the order of its names. Raises UnusableLockFile."""
    lock = read_toml(path, content)
    if lock.text("lock-version").partition(".")[0] != "1":
        raise UnusableLockFile(
            path, f"it has lock-version {lock.text('lock-version')[:40]!r}, and version 1 is known", "lock it anew"
        )
    target.check_version(lock, "requires-python", "it")
    environments = lock.texts("environments")
    if environments and not any(target.wants(lock, marker, frozenset()) for marker in environments):
        raise lock.wrong(f"it is for other environments than {target.shown}", "lock for this one, too")
    extras = chosen(lock, "extra", choice.extras, set(normal_names(lock.texts("extras"))))
    known = set(normal_names([*lock.texts("dependency-groups"), *lock.texts("default-groups")]))
    groups = normal_names(lock.texts("default-groups")) | chosen(lock, "group", choice.groups, known)
    groups -= chosen(lock, "group", choice.without, known)
    wanted: dict[str, Pinned] = {}
    for package in lock.packages("packages"):
        if not target.wants(package, package.text("marker"), extras, groups):
            continue
        pinned = _pinned(package, choice.folders | {"."})
        if pinned is None:
            continue
        target.check_version(package, "requires-python", "it")
        if wanted.setdefault(pinned.name, pinned) is not pinned:
            raise package.wrong("is there more than once for this Python", "lock it anew")
    return [wanted[name] for name in sorted(wanted)]


def _pinned(package: Table, folders: frozenset[str]) -> Pinned | None:
    """Return what a package pins, None for a project in one of these directories."""
    name = package.name()
    for kind in ("vcs", "directory"):
        if kind in package:
            source = package.table(kind)
            if kind == "directory" and normpath(source.text("path") or ".") in folders:
                return None
            raise not_a_file(package, kind, source.text("url") or source.text("path"))
    version = package.version() if "version" in package else ""
    if "archive" in package:
        archive = package.table("archive")
        if not archive.text("url"):
            raise not_a_file(package, "file", archive.text("path"))
        address, file = of_address(package, archive.text("url"), _sha256(package, archive))
        return Pinned(name, version or file.name.version, (file,), address=address)
    files = [_file(package, wheel) for wheel in package.tables("wheels")]
    if "sdist" in package:
        files.append(_file(package, package.table("sdist")))
    if not version:
        raise package.wrong("has no version")
    return Pinned(name, version, tuple(files), index=package.text("index"))


def _file(package: Table, table: Table) -> PinnedFile:
    name = table.text("name") or table.text("url") or table.text("path")
    return file_named(package, name, _sha256(package, table))


def _sha256(package: Table, table: Table) -> str:
    digits = table.table("hashes").text("sha256").lower()
    return Table(package.path, {"hash": f"sha256:{digits}"}, package.where).sha256()
