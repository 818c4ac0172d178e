"""The base `host`: a minimal system cut from the packages that are installed on this machine.

Package files come from dpkg's own lists; what packages' scripts would have made is made anew
(debian/maintainer_scripts.py), so that nothing of this machine's users, addresses or settings gets in. No network and
no privilege are needed, and root and an ordinary user make the same tree.
"""

from __future__ import annotations

import os
from hashlib import md5

from envbuild.bases.programs import prepare_programs
from envbuild.debian.file_plan import BaseFiles
from envbuild.debian.host_dpkg import Diversion, DpkgDatabase, InstalledPackage, NoSuchPackage
from envbuild.debian.maintainer_scripts import generate
from envbuild.linux.os_release import MAX_RELEASE, release_fields
from envbuild.text.enumeration import first_of
from envbuild.tree.target import PreparedBase, TreeTarget

ALWAYS = ("apt",)
"""What the base has beside the essential packages. Those are always there: a package may rely on them without
saying so (Debian policy 3.8), so they belong to what each one needs."""
LEFT_OUT = (
    "/usr/share/doc/",
    "/usr/share/man/",
    "/usr/share/info/",
    "/usr/share/locale/",
    "/usr/share/lintian/",
    "/usr/share/linda/",
    "/usr/share/bug/",
)
KEPT = ("/copyright",)
MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "libo32")
"""Directories of the root that are links into /usr where usr is merged (Debian's usrmerge)."""
SEARCH = ("/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin")
MAX_NOTES = 5


class HostBase:
    """A cut of this machine's packages."""

    def __init__(self, plan: BaseFiles, packages: list[InstalledPackage], notes: tuple[str, ...]) -> None:
        self._plan = plan
        self.epoch = plan.newest // 1_000_000_000
        release = _release(plan.root)
        self.identity = f"{release}, {len(packages)} packages of this machine"
        self.notes = notes

    def write(self, target: TreeTarget) -> None:
        self._plan.write_to(target, self.epoch)

    def close(self) -> None:
        pass


def prepare_host(programs: tuple[str, ...], root: str = "/", *, without_dpkg: bool = False) -> PreparedBase:
    """Return the base of the essential packages and apt, the named packages (or programs), and what all these need.

    On a machine without dpkg: the programs and the libraries that they load. Raises NoSuchPackage or, there,
    NoSuchProgram.
    """
    if without_dpkg or not DpkgDatabase.exists(root):
        return prepare_programs(programs, root)
    database = DpkgDatabase(root)
    wanted = _wanted(database, programs)
    packages = database.closure(wanted)
    merged = {name for name in MERGED if os.path.islink(f"{database.root}/{name}")}
    plan = BaseFiles(database.root, whole_seconds=True)
    for name in sorted(merged):
        plan.link(f"/{name}", os.readlink(f"{database.root}/{name}"))
    changed = _take_packages(database, packages, merged, plan)
    generate(database, packages, plan, lambda path: true_path(path, merged))
    return HostBase(plan, packages, _notes(plan, changed))


def true_path(path: str, merged: set[str]) -> str:
    """Return where a path lies when usr is merged: /bin/ls is /usr/bin/ls."""
    first, _, rest = path.lstrip("/").partition("/")
    return f"/usr/{first}/{rest}".rstrip("/") if first in merged and rest else path


def _wanted(database: DpkgDatabase, programs: tuple[str, ...]) -> list[str]:
    wanted = [*database.essential(), *(name for name in ALWAYS if name in database.packages)]
    for program in programs:
        wanted.append(program if program in database.packages else _package_of(database, program))
    return wanted


def _package_of(database: DpkgDatabase, program: str) -> str:
    """Return the package that brings a program of this name."""
    for folder in SEARCH:
        path = f"{folder}/{program}"
        if os.path.lexists(f"{database.root}{path}"):
            real = os.path.realpath(f"{database.root}{path}")[len(database.root) :]
            owner = database.owner_of(path, real, real.removeprefix("/usr"))
            if owner is not None:
                return owner
    raise NoSuchPackage(program, sorted(database.packages))


def _take_packages(
    database: DpkgDatabase, packages: list[InstalledPackage], merged: set[str], plan: BaseFiles
) -> list[str]:
    """Take the packages' files; return the configuration files that were changed by hand."""
    names = {package.name for package in packages}
    moved: dict[str, Diversion] = {}
    undone: dict[str, Diversion] = {}
    for diversion in database.diversions():
        where = moved if diversion.owner in names else undone
        where[diversion.path] = diversion
    changed = []
    for package in packages:
        conffiles = dict(package.conffiles)
        for path in database.files(package):
            if path in ("/.", "") or _left_out(path):
                continue
            place, source = path, path
            if path in moved and moved[path].owner != package.name:
                place = source = moved[path].moved
            elif path in undone and undone[path].owner != package.name:
                # Who moved it is not taken: it goes back to its own place.
                source = undone[path].moved
            place, source = true_path(place, merged), true_path(source, merged)
            if place.lstrip("/") in merged:
                continue
            edited = path in conffiles and _md5(f"{database.root}{source}") not in ("", conffiles[path])
            # The day of an edit must not become the date of the base.
            if plan.take(place, source, timeless=edited) and edited:
                changed.append(path)
    return changed


def _left_out(path: str) -> bool:
    return path.startswith(LEFT_OUT) and not path.endswith(KEPT)


def _md5(path: str) -> str:
    try:
        with open(path, "rb") as file:
            # dpkg's own choice, to tell changed files and not to keep anybody out (deb-conffiles).
            return md5(file.read(), usedforsecurity=False).hexdigest()
    except OSError:
        return ""


def _notes(plan: BaseFiles, changed: list[str]) -> tuple[str, ...]:
    notes = []
    for what, paths in (
        ("left out, as not everybody may read them on this machine", plan.unreadable),
        ("taken as they are on this machine, though changed since their package was installed", changed),
    ):
        if paths:
            notes.append(f"{what}: {first_of(paths, MAX_NOTES)}")
    return tuple(notes)


def _release(root: str) -> str:
    try:
        with open(f"{root}/etc/os-release", encoding="utf-8") as file:
            fields = release_fields(file.read(MAX_RELEASE))
    except (OSError, UnicodeDecodeError):
        return "this machine"
    return fields.get("PRETTY_NAME", "this machine")
