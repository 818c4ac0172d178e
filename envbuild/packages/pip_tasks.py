"""What pip is run for: to say which distributions a statement means, and to install them from files alone.

The resolution runs pip with the tree's own Python, so that wheels fit it and its platform. What builds sources is
resolved too, and locked with the rest. The installation needs pip only to build sources; wheels are
installed by the library `installer`, which the tree's Python runs.
"""

from __future__ import annotations

import io
import json
import os
import re
import tarfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import resources
from importlib.util import find_spec
from urllib.parse import unquote

from envbuild.http.addresses import BadAddress, WebAddress, names_address
from envbuild.linux.nofollow import Component
from envbuild.lockfile.checked_name import UnsafeName
from envbuild.lockfile.lock import Package
from envbuild.packages.documents import BadDocument, fields_of
from envbuild.packages.errors import NoManager, Unresolved
from envbuild.packages.manager import BUILD, FOLDER, IN_PROJECT, OUT, PACKAGES, Contents, Task, texts_of
from envbuild.packages.python_names import (
    INDEX,
    PYTHONS,
    TREE,
    DistributionName,
    PythonVersion,
    SourceName,
    TreePath,
    WheelName,
    distribution_file,
    file_of_address,
    normal_name,
)
from envbuild.packages.python_project import folder_and_extras, needs_sources, requirements_of, sources_in
from envbuild.plan.step import BUILD_PROJECT, PROJECT, InstallPackages
from envbuild.record import Pairs

FILES = f"{FOLDER}/files"
CONSTRAINTS = f"{FOLDER}/locked.txt"
NEEDS_PIP, NEEDS_VENV, NO_PYTHON = 64, 65, 66
_ORDER = f"{FOLDER}/order.json"
_SCRIPT = f"{FOLDER}/pip_task.py"
_HOOKS = f"{FOLDER}/hooks"
_PROJECTS = f"{FOLDER}/projects.tar"
UNPACKED = "/tmp/envbuild-projects"
"""Where the sources of projects lie in the sandbox."""
_EPOCH_OF_ZIP = 315_532_800
"""1980: the archives that wheels are know no earlier time."""
_INSTALLER = f"{FOLDER}/installer.zip"
_START = f"""\
for name in {" ".join(PYTHONS)}; do
    if program=$(command -v $name); then exec "$program" -I -B {_SCRIPT} {_ORDER}; fi
done
exit {NO_PYTHON}
"""
_CONSTRAINED = re.compile(r"The user requested \(constraint\) ([A-Za-z0-9._-]+)==")

_NOT_FOUND = re.compile(r"No matching distribution found for ([A-Za-z0-9._-]+)")
_APART = re.compile(
    r"^([A-Za-z0-9._-]{1,200}) \S{1,200} (?:has requirement .{1,500}, but you have ([A-Za-z0-9._-]{1,200}) \S{1,200}\."
    r"|requires .{1,500}, which is not installed\.)$",
    re.MULTILINE,
)
"""What `pip check` says."""
_REQUIRES = re.compile(r"([A-Za-z0-9._-]{1,200})(?:\[[^\]]*\])?([^;]{0,200})")
MAX_REQUIREMENTS = 1000
"""Dependencies of one distribution that are looked at for why another one moved."""

ANSWER = "the answer of pip in the sandbox"
SHA256 = re.compile(r"[0-9a-f]{64}")


def resolve_task(
    action: InstallPackages,
    contents: Contents,
    pins: Iterable[Package],
    pip: tuple[Package, str] | None,
    kept: Sequence[tuple[Package, str]] = (),
    have: Sequence[tuple[Package, str]] = (),
    *,
    alone: bool = False,
) -> Task:
    """Return what asks pip in the tree. `contents` are the requirement files with their paths, `pins` what stays as it
    is if it can, `pip` a wheel of pip with its path, for trees that have none, and `kept` are locked distributions that
    no index has any more, with the paths of their files. So are `have`, which pip takes for installed: it asks no index
    for them, and answers what is to be added. `alone` means the distributions without what they need."""
    words = ["--no-deps"] if alone else []
    for option, path in action.files:
        words += [option, f"{FILES}/{path}"] if option != PROJECT else []
    for option, value in action.options:
        if option == "find-links":
            words += ["--find-links", value]
    held = "".join(
        f"{DistributionName(pin.name)}=={PythonVersion(pin.version)}\n"
        for pin in pins
        if not pin.origin.startswith(BUILD)
    )
    if held:
        words += ["-c", CONSTRAINTS]
    if kept:
        words += ["--find-links", PACKAGES]
    words += ["--", *action.wanted, *_of_projects(action, contents)]
    order = {
        "projects": _PROJECTS if sources_in(contents) else None,
        "into": action.option("into"),
        "pip": f"{PACKAGES}/{file_name(pip[0])}" if pip else None,
        "words": words,
        "out": OUT,
        "hooks": _HOOKS,
        "files": FILES,
        "have": [f"{PACKAGES}/{file_name(package)}" for package, _ in have],
    }
    files = [
        (_ORDER, json.dumps(order).encode()),
        (_SCRIPT, _inside("pip_resolve.py")),
        (f"{_HOOKS}/sitecustomize.py", _inside("hooks/sitecustomize.py")),
        (CONSTRAINTS, held.encode()),
        (f"{FILES}/.keep", b""),
        *((f"{FILES}/{path}", content) for path, content in contents if not path.startswith(IN_PROJECT)),
        *_projects_file(contents),
    ]
    packages = tuple((file_name(package), path) for package, path in (*((pip,) if pip else ()), *kept, *have))
    return Task(("/bin/sh", "-c", _START), _environment(action), tuple(files), packages)


_OF_NO_USE = ("[notice]", "note: This ", "hint: See above", "╰─> See above")
_CODE_FAILED = ("metadata-generation-failed", "subprocess-exited-with-error")
_WHEN_CODE_FAILS = (
    "the code that builds it failed, and says why above; what it takes beside Python, such as a compiler, is for a "
    "statement before this one: apt build-essential"
)


def asks_nothing(action: InstallPackages, contents: Contents) -> bool:
    """Return whether there is nothing to ask pip, as for projects that need nothing but themselves."""
    said = action.wanted or any(option != PROJECT for option, _ in action.files)
    return not said and not _of_projects(action, contents)


def describe_task(action: InstallPackages, pip: tuple[Package, str] | None) -> Task:
    """Return what lets the tree's Python say what it is; `pip` is as for `resolve_task`."""
    order = {"inside": FOLDER, "out": OUT, "pip": f"{PACKAGES}/{file_name(pip[0])}" if pip else None}
    files = (
        (_ORDER, json.dumps(order).encode()),
        (_SCRIPT, _inside("pip_describe.py")),
        (f"{FOLDER}/pip_resolve.py", _inside("pip_resolve.py")),
    )
    packages = ((file_name(pip[0]), pip[1]),) if pip else ()
    return Task(("/bin/sh", "-c", _START), _environment(action), files, packages, offline=True)


def with_own_sources(task: Task, settings: Mapping[str, str]) -> Task:
    """Return the same resolution, for which pip reads no file of settings and has these instead (pip's documentation,
    "Configuration": a PIP_CONFIG_FILE that is the null device)."""
    own = {f"PIP_{name.upper().replace('-', '_')}": value for name, value in settings.items()}
    return task.with_own_sources((("PIP_CONFIG_FILE", "/dev/null"), *own.items()))


def refuse(status: int, output: str) -> None:
    """Raise what a resolution that ended with `status` means; not for NEEDS_PIP."""
    if status == NO_PYTHON:
        raise NoManager("pip", "Python on its PATH", "install one before it, as in: apt python3")
    if status == NEEDS_VENV:
        raise NoManager("pip", "module venv beside its Python", "install all of it, as in: apt python3")
    lines = [line for line in output.splitlines() if line.strip() and not line.strip().startswith(_OF_NO_USE)]
    hint = _WHEN_CODE_FAILS if any(words in output for words in _CODE_FAILED) else ""
    raise Unresolved("pip", "\n".join(lines[-20:]), hint)


def to_unpin(output: str) -> set[str]:
    """Return the distributions whose locked versions pip names as the cause of a conflict, or does not find."""
    return {normal_name(name) for name in (*_CONSTRAINED.findall(output), *_NOT_FOUND.findall(output))}


def apart(output: str) -> set[str]:
    """Return the distributions that don't go together as `pip check` says, or of which one lacks another."""
    return {normal_name(name) for match in _APART.finditer(output) for name in match.groups() if name}


def reasons(answer: bytes, pinned: Iterable[Package]) -> dict[str, str]:
    """Return for each distribution of an answer what of the same answer needs it, by its normal name; "" for nothing.
    What is not `pinned` any more is named before others. Raises BadDocument and UnsafeName."""
    stayed = {(package.name, package.version) for package in pinned}
    items = [item for item in fields_of(answer, ANSWER).objects("found") if not item.flag("build")]
    needs: dict[str, list[tuple[bool, bool, str]]] = {
        normal_name(DistributionName(item.text("name"))): [] for item in items
    }
    for item in items:
        by, version = normal_name(item.text("name")), PythonVersion(item.text("version"))
        requires = item.any("requires")
        for text in requires[:MAX_REQUIREMENTS] if isinstance(requires, list) else ():
            match = _REQUIRES.match(str(text))
            if match is None or (name := normal_name(match[1])) not in needs:
                continue
            which = match[2].strip().strip("()")
            said = f"{by} {version} needs it" + (f" ({which})" if which else "")
            needs[name].append(((by, version) in stayed, not which, said))
    return {name: min(causes)[2] if causes else "" for name, causes in needs.items()}


def read_answer(text: bytes, action: InstallPackages, contents: Contents) -> tuple[tuple[Package, str], ...]:
    """Return the distributions that pip named, each with its address. Raises Unresolved for what has no hash and for
    addresses that nobody asked for, UnsafeName and BadDocument."""
    packages: dict[tuple[str, str], tuple[Package, str]] = {}
    for item in fields_of(text, ANSWER).objects("found"):
        name, version = normal_name(DistributionName(item.text("name"))), PythonVersion(item.text("version"))
        url, digest = item.text("url"), item.text("sha256")
        if f"{url}/".startswith(f"file://{UNPACKED}/"):
            continue  # the project itself, which the step builds
        if not digest:
            raise Unresolved(
                "pip",
                f"{name} {version} comes from {url!r}, which has no sha256",
                "name a file with its hash (NAME @ https://.../FILE#sha256=...), or copy it in and use run",
            )
        if SHA256.fullmatch(digest) is None:
            raise BadDocument(ANSWER, f"{digest[:100]!r} is not a sha256")
        plain = url.partition("#")[0]
        if url.startswith("file://"):
            origin: str = TREE + TreePath(unquote(url.removeprefix("file:///")))
        elif item.flag("direct"):
            if not names_address(texts_of(action, contents), plain):
                raise Unresolved(
                    "pip",
                    f"{name} {version} would come from {plain!r}, which a package asks for and this statement does not",
                    f'if you trust that address, name it here: pip ... "{name} @ {plain}#sha256={digest}"',
                )
            file_of_address(address := _address(plain))
            origin = address
        else:
            origin = INDEX + file_of_address(_address(plain))
        origin = (BUILD if item.flag("build") else "") + origin
        package = Package(name, version, f"sha256:{digest}", origin)
        packages.setdefault((package.hash, origin), (package, plain))
    return tuple(sorted(packages.values(), key=lambda pair: (pair[0].name, pair[0].origin)))


def added(text: bytes, have: Iterable[Package]) -> bool:
    """Return whether pip took what it was to `have` for installed, and answered nothing but what is to be added."""
    answer = fields_of(text, ANSWER)
    names = {package.name for package in have}
    more = [normal_name(item.text("name")) for item in answer.objects("found") if not item.flag("build")]
    return answer.flag("had") and names.isdisjoint(more)


def needs_pip(text: bytes) -> bool:
    """Return whether a resolution has sources, which pip has to build, and used a pip that was mounted."""
    answer = fields_of(text, ANSWER)
    sources = any(
        not item.flag("build") and not item.text("url").partition("#")[0].endswith(".whl")
        for item in answer.objects("found")
    )
    words = answer.any("pip")
    mounted = isinstance(words, list) and bool(words) and str(words[0]).startswith(f"{PACKAGES}/")
    return sources and mounted


def _of_projects(action: InstallPackages, contents: Contents) -> list[str]:
    """Return what pip is asked about the projects of a statement: what they need, where they say it themselves."""
    projects = [folder_and_extras(word) for option, word in action.files if option == PROJECT]
    if action.option(BUILD_PROJECT) is None and not needs_sources(action, contents):
        return requirements_of(action, contents)
    return [f"{UNPACKED}/{folder}" + (f"[{','.join(extras)}]" if extras else "") for folder, extras in projects]


def _projects_file(contents: Contents) -> list[tuple[str, bytes]]:
    """Return the sources of a statement's projects as one archive, which is the same for the same files."""
    sources = sources_in(contents)
    if not sources:
        return []
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in sources:
            member = tarfile.TarInfo(name[1:])
            member.mtime = _EPOCH_OF_ZIP
            member.mode = 0o644 if name[0] == "f" else 0o755
            if name[0] == "l":
                member.type, member.linkname = tarfile.SYMTYPE, content.decode("utf-8", "surrogateescape")
                archive.addfile(member)
            else:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return [(_PROJECTS, packed.getvalue())]


def install_task(
    action: InstallPackages, contents: Contents, packages: Sequence[tuple[Package, str]], *, apart: bool = False
) -> Task:
    """Return what installs from files. `packages` are the locked ones with the paths of their files (those that lie in
    the tree are found there). If they are to stay `apart`, it fails where one brings a file that is there."""
    install: list[str] = []
    hashes: dict[str, str] = {}
    mounted: list[tuple[Component, str]] = []
    pip = None
    for package, path in packages:
        build = package.origin.startswith(BUILD)
        origin = package.origin.removeprefix(BUILD)
        if origin.startswith(TREE):
            inside = "/" + TreePath(origin.removeprefix(TREE))
            hashes[inside] = package.hash.partition(":")[2]
        else:
            inside = f"{PACKAGES}/{file_name(package)}"
            mounted.append((file_name(package), path))
        if build and package.name == "pip" and inside.endswith(".whl"):
            pip = inside
        if not build:
            install.append(inside)
    order = {
        "into": action.option("into"),
        "install": install,
        "projects": _PROJECTS if action.option(BUILD_PROJECT) is not None else None,
        "folders": [] if action.option(BUILD_PROJECT) is None else _of_projects(action, contents),
        "hashes": hashes,
        "packages": PACKAGES,
        "installer": _INSTALLER,
        "pip": pip,
        "inside": FOLDER,
        "hooks": _HOOKS,
        "requested": sorted(requested_names(action)),
        "apart": apart,
    }
    files = [
        (_ORDER, json.dumps(order).encode()),
        (_SCRIPT, _inside("pip_install.py")),
        (f"{_HOOKS}/sitecustomize.py", _inside("hooks/sitecustomize.py")),
        (f"{FOLDER}/pip_resolve.py", _inside("pip_resolve.py")),
        (_INSTALLER, _installer()),
        *(_projects_file(contents) if action.option(BUILD_PROJECT) is not None else ()),
    ]
    return Task(("/bin/sh", "-c", _START), _environment(action), tuple(files), tuple(dict.fromkeys(mounted)))


def requested_names(action: InstallPackages) -> set[str]:
    """Return the normal names of what a statement asks for in its words."""
    return {normal_name(re.split(r"[^A-Za-z0-9._-]", word, maxsplit=1)[0]) for word in action.wanted}


def file_name(package: Package) -> WheelName | SourceName:
    """Return the name of a distribution's file: pip reads name, version and tags in it. Raises UnsafeName."""
    origin = package.origin.removeprefix(BUILD)
    if origin.startswith(INDEX):
        return distribution_file(origin.removeprefix(INDEX))
    if origin.startswith(TREE):
        return distribution_file(origin.rpartition("/")[2])
    return file_of_address(_address(origin))


def _address(text: str) -> WebAddress:
    try:
        return WebAddress(text)
    except BadAddress:
        raise UnsafeName("where a Python distribution comes from", text) from None


def runs_on(requires: str, python: str) -> bool:
    """Return whether a Requires-Python allows a Python of this version (`3.11`); only lower bounds are looked at."""
    bounds = [part.strip().removeprefix(">=") for part in requires.split(",") if part.strip().startswith(">=")]
    return all(version_of(bound) <= version_of(python) for bound in bounds)


def is_release(wheel: WheelName) -> bool:
    """Return whether a wheel is a release for all platforms: its version is numbers alone."""
    return wheel.endswith("-py3-none-any.whl") and wheel.version.replace(".", "").isdigit()


def version_of(text: str) -> tuple[int, ...]:
    """Return the numbers of a version; those that are too long for one are left out."""
    return tuple(int(part) for part in text.strip().split(".") if part.isascii() and part.isdigit() and len(part) < 19)


def _environment(action: InstallPackages) -> Pairs:
    return (*action.environment, ("PYTHONHASHSEED", "0"), ("PYTHONDONTWRITEBYTECODE", "1"))


def _inside(name: str) -> bytes:
    return resources.files("envbuild.packages.inside").joinpath(name).read_bytes()


@cache
def _installer() -> bytes:
    """Return the library `installer` as an archive for Python to import from; to import it here takes 20 ms."""
    spec = find_spec("installer")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    (root,) = spec.submodule_search_locations
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        names = [name for name in os.listdir(root) if name.endswith(".py")]
        for name in sorted([*names, "_scripts/__init__.py"]):
            with open(f"{root}/{name}", "rb") as file:
                archive.writestr(zipfile.ZipInfo(f"installer/{name}"), file.read())
    return packed.getvalue()
