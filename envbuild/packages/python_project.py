"""Python projects in the recipe's folder: which distributions they need, as opposed to all else that they say."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from posixpath import join, normpath

from envbuild.errors import UsageError, fields
from envbuild.packages.documents import BadDocument, value_of
from envbuild.packages.manager import IN_PROJECT, Contents
from envbuild.packages.python_names import PROJECT_FILE, lock_kind, normal_name
from envbuild.packages.toml_text import BadToml, parse_toml
from envbuild.plan.step import BUILD_PROJECT, PROJECT, InstallPackages

MAX_EXTRAS = 200
_DECIDING = ("name", "requires-python", "dependencies", "optional-dependencies", "dynamic")
_LEGACY = ("setup.py", "setup.cfg")
_WITH_EXTRAS = re.compile(r"(?P<path>[^\[\]]*)(?:\[(?P<extras>[A-Za-z0-9._, -]*)\])?")
_OWN = re.compile(r"\s*(?P<name>[A-Za-z0-9._-]+)\s*\[(?P<extras>[A-Za-z0-9._, -]*)\]\s*(?:;.*)?")


@fields
class UnusableProject(UsageError):
    """A directory is not a Python project, or its pyproject.toml can't be read."""

    path: str
    reason: str
    hint: str = ""

    def text(self) -> tuple[str, str]:
        return f"{self.path}: {self.reason}", self.hint or "a project has a pyproject.toml, or a setup.py"


def folder_and_extras(word: str) -> tuple[str, tuple[str, ...]]:
    """Return the directory that a word such as `./sub[web]` names, and the extras. Raises UnusableProject."""
    match = _WITH_EXTRAS.fullmatch(word)
    if match is None:
        raise UnusableProject(word[:200], "not a directory, with extras in brackets behind it")
    extras = tuple(normal_name(extra.strip()) for extra in (match["extras"] or "").split(",") if extra.strip())
    return normpath(match["path"] or "."), extras


def what_decides(path: str, content: bytes, *, graph: bool = False) -> bytes:
    """Return those parts of a pyproject.toml that say what the project needs, as JSON: the same for files that differ
    in other parts alone. With `graph` these are also the dependencies that Poetry 1 reads there. Raises
    UnusableProject."""
    plain = _read(path, content)
    decides = _deciding(plain)
    if graph:
        poetry = _table(_table(plain, "tool"), "poetry")
        names = ("dependencies", "dev-dependencies", "group")
        decides["tool"] = {"poetry": {name: poetry[name] for name in names if name in poetry}}
    return _dumped(decides)


def files_of_project(word: str, what: str, read: Callable[[str, str], bytes]) -> dict[str, bytes]:
    """Return the files of a project that decide what it needs: its pyproject.toml, reduced to that, and where it leaves
    that to a program, what the program reads as far as it is known. Raises UnusableProject."""
    folder, _ = folder_and_extras(word)
    contents = {}
    path = normpath(join(folder, PROJECT_FILE))
    try:
        content = read(path, what)
    except UsageError:
        content = b""
    plain = _read(path, content)
    legacy = [] if _is_static(plain) else [*_LEGACY, *_named_files(plain)]
    for name in legacy:
        try:
            contents[normpath(join(folder, name))] = read(normpath(join(folder, name)), what)
        except UsageError:
            continue
    if not content and not contents:
        raise UnusableProject(folder, "not a Python project")
    decides = _deciding(plain)
    if legacy:
        decides["whole"] = content.decode("utf-8", "replace")
    return {path: _dumped(decides), **contents}


def needs_sources(action: InstallPackages, contents: Contents) -> bool:
    """Return whether only the sources of a statement's projects say what these need."""
    return any("whole" in plain for _, _, plain in _projects(action, contents))


def takes_sources(action: InstallPackages, contents: Contents) -> bool:
    """Return whether a step needs all files of its projects: it builds them, or only their own programs say what they
    need."""
    if action.option(BUILD_PROJECT) is not None:
        return True
    return not any(lock_kind(path) for _, path in action.files) and needs_sources(action, contents)


def requirements_of(action: InstallPackages, contents: Contents) -> list[str]:
    """Return what the projects of a statement need, as far as their pyproject.toml says it."""
    wanted: list[str] = []
    for _, extras, plain in _projects(action, contents):
        project = _table(plain, "project")
        wanted += _texts(project.get("dependencies"))
        optional = {normal_name(name): texts for name, texts in _table(project, "optional-dependencies").items()}
        wanted += _of_extras(normal_name(str(project.get("name", ""))), extras, optional)
    return list(dict.fromkeys(wanted))


def build_requirements_of(action: InstallPackages, contents: Contents) -> list[str]:
    """Return what the projects of a statement say that it takes to build them."""
    return [
        text
        for _, _, plain in _projects(action, contents)
        for text in _texts(_table(plain, "build-system").get("requires"))
    ]


def sources_in(contents: Contents) -> list[tuple[str, bytes]]:
    """Return the files of the projects among a statement's contents: their kind and path, and content."""
    return [(path.removeprefix(IN_PROJECT), content) for path, content in contents if path.startswith(IN_PROJECT)]


def _projects(action: InstallPackages, contents: Contents) -> Iterable[tuple[str, tuple[str, ...], dict[str, object]]]:
    by_path = dict(contents)
    for option, word in action.files:
        if option == PROJECT:
            folder, extras = folder_and_extras(word)
            content = by_path.get(normpath(join(folder, PROJECT_FILE)), b"{}")
            plain = value_of(content, PROJECT_FILE)
            if not isinstance(plain, dict):
                raise BadDocument(PROJECT_FILE, "it is not a table")
            yield folder, extras, plain


def _of_extras(name: str, extras: Iterable[str], optional: dict[str, object]) -> list[str]:
    """Return what extras need; one may name others of the same project (`shop[web]`)."""
    wanted: list[str] = []
    left, seen = list(extras), set[str]()
    while left and len(seen) < MAX_EXTRAS:
        extra = left.pop()
        if extra in seen:
            continue
        seen.add(extra)
        if extra not in optional:
            has = f"it has: {', '.join(sorted(optional))}" if optional else "it has none"
            raise UnusableProject(name, f"the project has no extra {extra[:100]!r}", has)
        for text in _texts(optional[extra]):
            match = _OWN.fullmatch(text)
            if match is not None and normal_name(match["name"]) == name:
                left += [normal_name(part.strip()) for part in match["extras"].split(",")]
            else:
                wanted.append(text)
    return wanted


def _read(path: str, content: bytes) -> dict[str, object]:
    try:
        return parse_toml(content)
    except BadToml as error:
        raise UnusableProject(path, str(error)) from None


def _deciding(plain: dict[str, object]) -> dict[str, object]:
    project, tool = _table(plain, "project"), _table(plain, "tool")
    groups = _table(_table(tool, "poetry"), "group")
    return {
        "project": {name: project[name] for name in _DECIDING if name in project},
        "dependency-groups": plain.get("dependency-groups", {}),
        "build-system": plain.get("build-system", {}),
        "tool": {
            "uv": {name: value for name, value in _table(tool, "uv").items() if name == "default-groups"},
            "poetry": {"group": {name: {"optional": _table(groups, name).get("optional") is True} for name in groups}},
        },
    }


def _is_static(plain: dict[str, object]) -> bool:
    """Return whether a pyproject.toml says itself what the project needs."""
    dynamic = _texts(_table(plain, "project").get("dynamic"))
    return "project" in plain and not {"dependencies", "optional-dependencies"} & set(dynamic)


def _named_files(plain: dict[str, object]) -> list[str]:
    """Return the files that setuptools reads dependencies from."""
    dynamic = _table(_table(_table(plain, "tool"), "setuptools"), "dynamic")
    tables = [_table(dynamic, "dependencies"), *map(_as_table, _table(dynamic, "optional-dependencies").values())]
    files = [file for table in tables for file in _texts(table.get("file")) or _texts([table.get("file")])]
    return [file for file in files if ".." not in file.split("/") and not file.startswith("/")]


def _table(plain: dict[str, object], name: str) -> dict[str, object]:
    return _as_table(plain.get(name))


def _as_table(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _texts(value: object) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _dumped(plain: dict[str, object]) -> bytes:
    return json.dumps(plain, sort_keys=True, default=str).encode()
