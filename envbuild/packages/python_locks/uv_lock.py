"""uv.lock: a graph of packages, whose edges have markers, from the project on (as `uv sync --frozen` follows it)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

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
from envbuild.packages.python_names import normal_name

_PROJECT_SOURCES = ("editable", "virtual", "directory")
"""Sources that are folders."""
_DEFAULT_GROUPS = ("dev",)
MAX_FOLLOWED = 200_000
"""Edges that are followed."""


def read_uv_lock(
    path: str, content: bytes, project: Table | None, choice: Choice, target: TargetPython
) -> list[Pinned]:
    """Return what a uv.lock pins for a Python, in the order of its names; `project` is the pyproject.toml beside it.
    Raises UnusableLockFile."""
    lock = read_toml(path, content)
    if lock.value("version") != 1:
        raise UnusableLockFile(
            path, f"it has version {lock.value('version')!r}, and version 1 is known", "lock with another uv"
        )
    target.check_version(lock, "requires-python", "it")
    return _Graph(lock, project, choice, target).pinned()


class _Graph:
    def __init__(self, lock: Table, project: Table | None, choice: Choice, target: TargetPython) -> None:
        self._lock, self._project, self._choice, self._target = lock, project, choice, target
        self._packages: dict[str, list[Table]] = {}
        for package in lock.packages("package"):
            self._packages.setdefault(package.name(), []).append(package)
        self._edges: deque[tuple[Table, Table]] = deque()
        """Edges to follow: the package, and the table that asks for it."""
        self._conflicting: frozenset[str] = frozenset()

    def pinned(self) -> list[Pinned]:
        roots = self._roots()
        extras, groups = self._chosen(roots)
        self._conflicting = frozenset(
            f"{kind}-{len(name)}-{name}{tail}"
            for name in (root.name() for root in roots)
            for kind, tails in (
                ("project", [""]),
                ("extra", [f"-{extra}" for extra in extras]),
                ("group", [f"-{group}" for group in groups]),
            )
            for tail in tails
        )
        self._check_conflicts(roots, extras, groups)
        for root in roots:
            self._follow(root, "dependencies")
            for extra in sorted(extras):
                self._follow(root.table("optional-dependencies"), extra)
            for group in sorted(groups):
                self._follow(_normalised(root.table("dev-dependencies")), group)
        for group in sorted(groups):
            self._follow(_normalised(self._lock.table("manifest").table("dependency-groups")), group)
        own = {id(root) for root in roots}
        reached = [
            package
            for package in self._reached()
            if id(package) not in own and _folder_of(package) not in self._choice.folders
        ]
        return sorted((self._pinned(package) for package in reached), key=lambda pinned: pinned.name)

    def _roots(self) -> list[Table]:
        """Return the project's own entries: that of the folder, or of all members of a workspace without one."""
        own = [entry for same in self._packages.values() for entry in same if _folder_of(entry) == "."]
        if own:
            return own
        members = normal_names(self._lock.table("manifest").texts("members"))
        entries = [entry for name in sorted(members) for entry in self._packages.get(name, ())]
        if not entries and "dependency-groups" not in self._lock.table("manifest"):
            raise self._lock.wrong("it has no entry for the project itself", "make it anew with: uv lock")
        return entries

    def _chosen(self, roots: list[Table]) -> tuple[frozenset[str], frozenset[str]]:
        """Return the extras and groups that count. Raises UnusableLockFile for those that nobody has."""
        known_extras = {
            normal_name(extra)
            for root in roots
            for extra in (
                *root.table("optional-dependencies").names(),
                *root.table("metadata").texts("provides-extras"),
            )
        }
        tables = [
            *(root.table("dev-dependencies") for root in roots),
            *(root.table("metadata").table("requires-dev") for root in roots),
            self._lock.table("manifest").table("dependency-groups"),
        ]
        known_groups = {normal_name(group) for table in tables for group in table.names()}
        return (
            chosen(self._lock, "extra", self._choice.extras, known_extras),
            (self._default_groups(known_groups) | chosen(self._lock, "group", self._choice.groups, known_groups))
            - chosen(self._lock, "group", self._choice.without, known_groups | set(_DEFAULT_GROUPS)),
        )

    def _default_groups(self, known: set[str]) -> frozenset[str]:
        settings = None if self._project is None else self._project.table("tool").table("uv")
        if settings is None or "default-groups" not in settings:
            return frozenset(_DEFAULT_GROUPS) & known
        if settings.value("default-groups") == "all":
            return frozenset(known)
        return normal_names(settings.texts("default-groups"))

    def _check_conflicts(self, roots: list[Table], extras: frozenset[str], groups: frozenset[str]) -> None:
        names = {root.name() for root in roots}
        sets = self._lock.value("conflicts")
        for items in sets if isinstance(sets, list) else ():
            taken = []
            for item in items if isinstance(items, list) else ():
                table = Table(self._lock.path, item, "'conflicts'")
                extra, group = normal_name(table.text("extra")), normal_name(table.text("group"))
                if table.text("package") and table.name("package") not in names:
                    continue
                if extra in extras or group in groups:
                    taken.append(f"extra={extra}" if extra else f"group={group}")
            if len(taken) > 1:
                raise self._lock.wrong(f"{' and '.join(taken)} exclude each other", "choose one of them")

    def _follow(self, table: Table, name: str) -> None:
        for edge in table.tables(name):
            if self._target.wants(edge, edge.text("marker"), self._conflicting):
                self._edges.append((self._package(edge), edge))

    def _package(self, edge: Table) -> Table:
        """Return the package that an edge leads to."""
        name, version, source = edge.name(), edge.text("version"), edge.value("source")
        packages = [
            package
            for package in self._packages.get(name, ())
            if (not version or package.text("version") == version)
            and (source is None or package.value("source") == source)
        ]
        if len(packages) != 1:
            raise self._lock.wrong(f"it has {len(packages)} packages that are {name} {version}".rstrip())
        return packages[0]

    def _reached(self) -> Iterator[Table]:
        """Yield each package that the edges lead to, once."""
        seen: set[tuple[int, str]] = set()
        for _ in range(MAX_FOLLOWED):
            if not self._edges:
                return
            package, edge = self._edges.popleft()
            if (id(package), "") not in seen:
                seen.add((id(package), ""))
                yield package
                self._follow(package, "dependencies")
            extras = edge.texts("extra") if isinstance(edge.value("extra"), list) else [edge.text("extra")]
            for extra in filter(None, extras):
                if (id(package), extra) not in seen:
                    seen.add((id(package), extra))
                    self._follow(package.table("optional-dependencies"), extra)
        raise self._lock.wrong(f"more than {MAX_FOLLOWED} dependencies are to be followed")

    def _pinned(self, package: Table) -> Pinned:
        source = package.table("source")
        name, kinds = package.name(), source.names()
        kind = kinds[0] if len(kinds) == 1 or "url" in kinds or "git" in kinds else ""
        if kind == "registry":
            files = [_file(package, wheel) for wheel in package.tables("wheels")]
            if "sdist" in package:
                files.append(_file(package, package.table("sdist")))
            return Pinned(name, package.version(), tuple(files), index=source.text("registry"))
        if "url" in kinds:
            tables = package.tables("wheels") or [package.table("sdist")]
            address, file = of_address(package, source.text("url"), tables[0].sha256())
            return Pinned(name, package.version(), (file,), address=address)
        raise not_a_file(package, kind or "/".join(kinds), source.text(kind) if kind else "")


def _file(package: Table, table: Table) -> PinnedFile:
    name = table.text("filename") or table.text("url") or table.text("path")
    return file_named(package, name, table.sha256())


def _folder_of(package: Table) -> str | None:
    """Return the folder that is a package's source, None if it is none."""
    source = package.table("source")
    return next((source.text(kind) for kind in _PROJECT_SOURCES if kind in source), None)


def _normalised(table: Table) -> Table:
    plain = {normal_name(name): table.value(name) for name in table.names()}
    return Table(table.path, plain, table.where)


def chosen(lock: Table, option: str, names: frozenset[str], known: set[str]) -> frozenset[str]:
    """Return the names of an option. Raises UnusableLockFile for one that the project does not have."""
    unknown = sorted(names - known)
    if unknown:
        has = f"it has: {', '.join(sorted(known))}" if known else "it has none"
        raise lock.wrong(f"the project has no {option} {unknown[0][:100]!r}", has)
    return names


def not_a_file(package: Table, kind: str, place: str) -> UnusableLockFile:
    """Return the error of a package that does not come as a file with a hash."""
    what = {
        "git": "comes from git",
        "vcs": "comes from version control",
        "path": "is a file of the project's folder",
        "file": "is a file of the project's folder",
    }.get(kind, "is a folder")
    return package.wrong(
        f"{what} ({place[:200] or kind[:100]}), and only files with a hash in an index or at an address can be locked",
        "copy it into the image and install it with: run DIR/bin/python3 -m pip install --no-deps PATH",
    )
