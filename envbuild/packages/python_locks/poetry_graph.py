"""poetry.lock as Poetry 1 writes it (lock-version 1.0, 1.1 and 2.0), which does not say which package is in which
group: that follows from the pyproject.toml beside it and from what each package depends on."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator

from envbuild.packages.python_locks.document import Table, UnusableLockFile
from envbuild.packages.python_locks.pinned import Choice, TargetPython, normal_names
from envbuild.packages.python_locks.uv_lock import chosen
from envbuild.packages.python_names import normal_name
from envbuild.packages.python_versions import BadSpecifier, meets

VERSIONS = ("1.0", "1.1", "2.0")
MAIN, DEV = "main", "dev"
"""The groups of the project's own dependencies, and of those that Poetry 1.0 and 1.1 know beside them."""
MAX_FOLLOWED = 200_000
_NUMBERS = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_COMPARISON = re.compile(r"(?:~=|[~^]|[<>=!]=?=?)?\s*[^\s,<>=!~^|]+")
_ANEW = "make it anew with: poetry lock"


def packages_wanted(
    lock: Table, project: Table | None, choice: Choice, target: TargetPython, files: dict[str, list[Table]]
) -> Iterator[Table]:
    """Yield the packages that a Python gets. `project` is the pyproject.toml beside the lock; `files` gets the lists of
    files that stand apart from their packages, by names. Raises UnusableLockFile."""
    for name, table in _files_apart(lock):
        files[name] = table
    settings = None if project is None else project.table("tool").table("poetry")
    if settings is None or "dependencies" not in settings:
        version = lock.table("metadata").text("lock-version")
        raise UnusableLockFile(
            lock.path,
            f"it has lock-version {version[:20]!r}, which does not say which package is in which group",
            "the pyproject.toml with [tool.poetry.dependencies] has to be beside it; or let Poetry 2 write the lock "
            "anew, which keeps the versions: poetry lock",
        )
    yield from _Graph(lock, settings, choice, target).reached()


def _files_apart(lock: Table) -> Iterator[tuple[str, list[Table]]]:
    apart = lock.table("metadata").table("files")
    for name in apart.names():
        yield normal_name(name), apart.tables(name)


class _Graph:
    def __init__(self, lock: Table, settings: Table, choice: Choice, target: TargetPython) -> None:
        self._lock = lock
        self._target = target
        self._packages: dict[str, list[Table]] = {}
        for package in lock.packages("package"):
            self._packages.setdefault(package.name(), []).append(package)
        extras = chosen(lock, "extra", choice.extras, set(normal_names(lock.table("extras").names())))
        self._of_extras = {
            normal_name(re.split(r"[\s(\[]", word.strip(), maxsplit=1)[0])
            for name in lock.table("extras").names()
            if normal_name(name) in extras
            for word in lock.table("extras").texts(name)
        }
        self._edges: deque[tuple[str, Table]] = deque()
        groups = {MAIN: settings.table("dependencies")}
        if "dev-dependencies" in settings:
            groups[DEV] = settings.table("dev-dependencies")
        optional = set()
        for name in settings.table("group").names():
            group = settings.table("group").table(name)
            groups[normal_name(name)] = group.table("dependencies")
            if group.value("optional") is True:
                optional.add(normal_name(name))
        wanted = set(groups) - optional | chosen(lock, "group", choice.groups, set(groups))
        for name in sorted(wanted - chosen(lock, "group", choice.without, set(groups))):
            self._follow(groups[name], frozenset(), self._of_extras)

    def reached(self) -> Iterator[Table]:
        """Yield each package that the edges lead to, once."""
        seen: set[tuple[int, frozenset[str]]] = set()
        given: set[int] = set()
        for _ in range(MAX_FOLLOWED):
            if not self._edges:
                return
            name, edge = self._edges.popleft()
            package = self._package(name, edge)
            extras = normal_names(edge.texts("extras"))
            if id(package) not in given:
                given.add(id(package))
                yield package
            if (id(package), extras) not in seen:
                seen.add((id(package), extras))
                own = package.table("extras")
                named = {
                    normal_name(re.split(r"[\s(\[;<>=!~]", word.strip(), maxsplit=1)[0])
                    for extra in own.names()
                    if normal_name(extra) in extras
                    for word in own.texts(extra)
                }
                self._follow(package.table("dependencies"), extras, named)
        raise self._lock.wrong(f"more than {MAX_FOLLOWED} dependencies are to be followed")

    def _follow(self, dependencies: Table, extras: frozenset[str], named: set[str]) -> None:
        """Take those dependencies that are wanted with these extras, which name some of them."""
        for name in dependencies.names():
            if normal_name(name) == "python":
                continue
            value = dependencies.value(name)
            for item in value if isinstance(value, list) else [value]:
                plain = {"version": item} if isinstance(item, str) else item
                edge = Table(self._lock.path, plain, f"{dependencies.where} {name[:100]!r}".strip())
                if edge.value("optional") is True and normal_name(name) not in named:
                    continue
                if self._wants(edge, extras):
                    self._edges.append((Table(self._lock.path, {"name": name}).name(), edge))

    def _wants(self, edge: Table, extras: frozenset[str]) -> bool:
        python = edge.text("python")
        if python and not _allows(self._target.version, python, edge):
            return False
        return self._target.wants(edge, edge.text("markers"), extras)

    def _package(self, name: str, edge: Table) -> Table:
        """Return the package that a dependency leads to: of several, the one that fits it and the Python."""
        packages = self._packages.get(name, [])
        fitting = packages
        if len(packages) > 1:
            fitting = [same for same in packages if _allows(self._target.version, same.text("python-versions"), same)]
        if len(fitting) > 1:
            fitting = [same for same in fitting if _allows(same.version(), edge.text("version"), edge)]
        if len(fitting) != 1:
            raise self._lock.wrong(f"it has {len(fitting)} packages that are {name} {edge.text('version')}", _ANEW)
        return fitting[0]


def _allows(version: str, constraint: str, table: Table) -> bool:
    """Return whether a version is one that a constraint of Poetry allows: `^1.2 || >=3,<4`. Raises UnusableLockFile."""
    try:
        return any(meets(version, ",".join(_plain(part))) for part in re.split(r"\|\|?", constraint))
    except BadSpecifier as error:
        raise table.wrong(f"has a constraint that can't be read: {error}", _ANEW) from None


def _plain(constraint: str) -> Iterator[str]:
    """Yield what a constraint says, in the form of Python packaging."""
    if _COMPARISON.sub("", constraint).strip(" ,\t"):
        raise BadSpecifier(f"{constraint[:100]!r} is not a constraint of Poetry")
    for part in _COMPARISON.findall(constraint):
        word = part.replace(" ", "")
        numbers = _NUMBERS.match(word.lstrip("^~"))
        if word in ("*", "==*"):
            continue
        if word[0] in "^~" and not word.startswith("~=") and numbers is not None:
            places = list(map(int, numbers[0].split(".")))
            fixed = (
                next((at for at, number in enumerate(places) if number), len(places) - 1)
                if word[0] == "^"
                else (min(1, len(places) - 1))
            )
            yield f">={word[1:]}"
            yield f"<{'.'.join(map(str, [*places[:fixed], places[fixed] + 1]))}"
        elif word[0] in "<>=!~":
            yield word if word[0] != "=" or word[:2] == "==" else f"={word}"
        else:
            yield f"=={word}"
