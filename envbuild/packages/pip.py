"""pip: which distributions a statement means, and how they are installed into a virtual environment from files alone.

The resolution runs pip with the tree's own Python, so that wheels fit it and its platform. What builds sources is
found out there too and is locked with the rest. The installation needs pip only to build sources; wheels are
installed by the library `installer`, which the tree's Python runs.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterable, Sequence
from importlib import resources
from urllib.parse import unquote

from envbuild.lock import Package
from envbuild.packages.errors import NoManager, Unresolved
from envbuild.packages.task import FOLDER, OUT, PACKAGES, Task
from envbuild.plan.step import InstallPackages

INDEX = "index/"
"""Origins: the name of a file in the package index; `build/` before it for what only builds sources."""
BUILD = "build/"
TREE = "tree/"
"""A file of the tree itself, from `find-links`."""
FILES = f"{FOLDER}/files"
CONSTRAINTS = f"{FOLDER}/locked.txt"
NEEDS_PIP, NEEDS_VENV, NO_PYTHON = 64, 65, 66
_ORDER = f"{FOLDER}/order.json"
_SCRIPT = f"{FOLDER}/pip_task.py"
_HOOKS = f"{FOLDER}/hooks"
_INSTALLER = f"{FOLDER}/installer.zip"
_START = f"""\
for name in python3 python3.14 python3.13 python3.12 python3.11 python3.10 python3.9 python3.8 python; do
    if program=$(command -v $name); then exec "$program" -I -B {_SCRIPT} {_ORDER}; fi
done
exit {NO_PYTHON}
"""
_CONSTRAINED = re.compile(r"The user requested \(constraint\) ([A-Za-z0-9._-]+)==")

Contents = tuple[tuple[str, bytes], ...]


def resolve_task(
    action: InstallPackages, contents: Contents, pins: Iterable[Package], pip: tuple[Package, str] | None
) -> Task:
    """Asks pip in the tree. `contents` are the requirement files with their paths, `pins` what stays as it is if it
    can, `pip` a wheel of pip with its path, for trees that have none."""
    words = []
    for option, path in action.files:
        words += [option, f"{FILES}/{path}"]
    for option, value in action.options:
        if option == "find-links":
            words += ["--find-links", value]
    held = "".join(f"{p.name}=={p.version}\n" for p in pins if not p.origin.startswith(BUILD))
    if held:
        words += ["-c", CONSTRAINTS]
    words += ["--", *action.wanted]
    order = {
        "into": action.option("into"),
        "pip": f"{PACKAGES}/{file_name(pip[0])}" if pip else None,
        "words": words,
        "out": OUT,
        "hooks": _HOOKS,
        "files": FILES,
    }
    files = [
        (_ORDER, json.dumps(order).encode()),
        (_SCRIPT, _inside("pip_resolve.py")),
        (f"{_HOOKS}/sitecustomize.py", _inside("hooks/sitecustomize.py")),
        (CONSTRAINTS, held.encode()),
        (f"{FILES}/.keep", b""),
        *((f"{FILES}/{path}", content) for path, content in contents),
    ]
    packages = ((file_name(pip[0]), pip[1]),) if pip else ()
    return Task(("/bin/sh", "-c", _START), _environment(action), tuple(files), packages)


def refuse(status: int, output: str) -> None:
    """Raises what a resolution that ended with `status` means; not for NEEDS_PIP."""
    if status == NO_PYTHON:
        raise NoManager("pip: the tree has no Python on its PATH", "install one before it, as in: apt python3")
    if status == NEEDS_VENV:
        raise NoManager("pip: the tree's Python has no module venv", "install all of it, as in: apt python3")
    lines = [line for line in output.splitlines() if line.strip() and not line.startswith("[notice]")]
    raise Unresolved("pip", "\n".join(lines[-20:]))


def to_unpin(output: str) -> set[str]:
    """The distributions whose locked versions pip names as the cause of a conflict."""
    return {normal(name) for name in _CONSTRAINED.findall(output)}


def read_answer(text: str) -> tuple[tuple[Package, str], ...]:
    """The distributions that pip named, each with its address. Raises Unresolved for what has no hash."""
    found: dict[tuple[str, str], tuple[Package, str]] = {}
    for one in json.loads(text)["found"]:
        name, url = normal(one["name"]), one["url"]
        if not one["sha256"]:
            raise Unresolved(
                "pip",
                f"{name} {one['version']} comes from {url}, which has no sha256",
                "name a file with its hash (NAME @ https://.../FILE#sha256=...), or copy it in and use run",
            )
        if one["direct"]:
            origin = url
        elif url.startswith("file://"):
            origin = TREE + unquote(url.removeprefix("file:///"))
        else:
            origin = INDEX + unquote(url.partition("#")[0].rpartition("/")[2])
        origin = (BUILD if one["build"] else "") + origin
        package = Package(name, one["version"], f"sha256:{one['sha256']}", origin)
        found.setdefault((package.hash, origin), (package, url.partition("#")[0]))
    return tuple(sorted(found.values(), key=lambda pair: (pair[0].name, pair[0].origin)))


def needs_pip(text: str) -> bool:
    """Whether a resolution's answer has sources, which pip has to build, and used a pip that was mounted."""
    plain = json.loads(text)
    sources = any(not one["build"] and not one["url"].partition("#")[0].endswith(".whl") for one in plain["found"])
    return sources and plain["pip"][0].startswith(PACKAGES)


def install_task(action: InstallPackages, packages: Sequence[tuple[Package, str]]) -> Task:
    """Installs from files. `packages` are the locked ones with the paths of their files (those that lie in the tree
    are found there)."""
    install: list[str] = []
    hashes: dict[str, str] = {}
    mounted: list[tuple[str, str]] = []
    pip = None
    for package, path in packages:
        build = package.origin.startswith(BUILD)
        origin = package.origin.removeprefix(BUILD)
        if origin.startswith(TREE):
            inside = "/" + origin.removeprefix(TREE)
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
        "hashes": hashes,
        "packages": PACKAGES,
        "installer": _INSTALLER,
        "pip": pip,
        "inside": FOLDER,
        "requested": sorted({normal(re.split(r"[^A-Za-z0-9._-]", word, maxsplit=1)[0]) for word in action.wanted}),
    }
    files = [
        (_ORDER, json.dumps(order).encode()),
        (_SCRIPT, _inside("pip_install.py")),
        (f"{FOLDER}/pip_resolve.py", _inside("pip_resolve.py")),
        (_INSTALLER, _installer()),
    ]
    return Task(("/bin/sh", "-c", _START), _environment(action), tuple(files), tuple(dict.fromkeys(mounted)))


def file_name(package: Package) -> str:
    """The name of a distribution's file: pip reads name, version and tags in it."""
    return unquote(package.origin.partition("#")[0].rpartition("/")[2])


def runs_on(requires: str, python: str) -> bool:
    """Whether a Requires-Python allows a Python of this version (`3.11`); only lower bounds are looked at."""
    bounds = [part.strip().removeprefix(">=") for part in requires.split(",") if part.strip().startswith(">=")]
    return all(version_of(bound) <= version_of(python) for bound in bounds)


def is_release(wheel: str) -> bool:
    """Whether a wheel's name has the version of a release: numbers alone."""
    return wheel.split("-")[1].replace(".", "").isdigit()


def version_of(text: str) -> tuple[int, ...]:
    """The numbers of a version."""
    return tuple(int(part) for part in text.strip().split(".") if part.isdigit())


def is_in_tree(package: Package) -> bool:
    """Whether the package's file lies in the tree itself, and needs no fetching."""
    return package.origin.removeprefix(BUILD).startswith(TREE)


def normal(name: str) -> str:
    """A distribution's name in its normal form (Python packaging's "Names and normalization")."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _environment(action: InstallPackages) -> tuple[tuple[str, str], ...]:
    return (*action.environment, ("PYTHONHASHSEED", "0"), ("PYTHONDONTWRITEBYTECODE", "1"))


def _inside(name: str) -> bytes:
    return resources.files("envbuild.packages.inside").joinpath(name).read_bytes()


def _installer() -> bytes:
    """The library `installer` as an archive that Python can import from."""
    root = resources.files("installer")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        names = [one.name for one in root.iterdir() if one.name.endswith(".py")]
        for name in sorted([*names, "_scripts/__init__.py"]):
            archive.writestr(zipfile.ZipInfo(f"installer/{name}"), root.joinpath(name).read_bytes())
    return packed.getvalue()
