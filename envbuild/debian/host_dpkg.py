"""Reads what dpkg knows of this machine: its packages, their files, diversions and alternatives."""

from __future__ import annotations

import os
import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, takewhile

from envbuild.debian.deb822 import Stanza, checked_stanzas, conffiles_of
from envbuild.errors import UsageError, fields
from envbuild.record import Pairs
from envbuild.text.suggestion import did_you_mean

ADMIN = "/var/lib/dpkg"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+.-]*")
INSTALLED = (" ok installed", " ok triggers-pending", " ok triggers-awaited")
"""States of a package whose files are all there and configured (dpkg(1)); a wish such as `hold` does not matter."""


@dataclass(frozen=True, slots=True)
class InstalledPackage:
    """An installed package. `stanza` is its text in dpkg's status file, `provides` the virtual names it stands for;
    `needs` are its Depends and Pre-Depends: groups of alternatives, by name without versions."""

    name: str
    architecture: str
    version: str
    essential: bool
    multi_arch_same: bool
    stanza: str
    provides: tuple[str, ...]
    needs: tuple[tuple[str, ...], ...]
    conffiles: Pairs

    @property
    def info_name(self) -> str:
        """The beginning of the package's file names in dpkg's info folder."""
        return f"{self.name}:{self.architecture}" if self.multi_arch_same else self.name


@dataclass(frozen=True, slots=True)
class Diversion:
    """A path that a package keeps others from; theirs lies at `moved`. `owner` is None for a local one."""

    path: str
    moved: str
    owner: str | None


@dataclass(frozen=True, slots=True)
class Alternative:
    """A name that several programs can stand for (update-alternatives(1)).

    `slaves` are (name, link); `choices` are (path, priority, paths of the slaves in their order, "" for none).
    """

    name: str
    link: str
    slaves: Pairs
    choices: tuple[tuple[str, int, tuple[str, ...]], ...]


class DpkgDatabase:
    """The database below `root`, read once."""

    def __init__(self, root: str = "/") -> None:
        self.root = root.rstrip("/")
        self.admin = f"{self.root}{ADMIN}"
        self.packages: dict[str, InstalledPackage] = {}
        packages = list(self._read_status())
        native = next((package.architecture for package in packages if package.name == "dpkg"), "")
        for package in packages:
            # Of a package that is there for two architectures, the one that dpkg itself is of.
            if package.name not in self.packages or package.architecture in (native, "all"):
                self.packages[package.name] = package
        self._providers: dict[str, list[str]] = {}
        for package in self.packages.values():
            for virtual in package.provides:
                self._providers.setdefault(virtual, []).append(package.name)

    @staticmethod
    def exists(root: str = "/") -> bool:
        """Return whether the machine has a dpkg database."""
        return os.path.isfile(f"{root.rstrip('/')}{ADMIN}/status")

    def closure(self, names: list[str]) -> list[InstalledPackage]:
        """Return the packages of these names and all that they need, sorted. Raises NoSuchPackage."""
        taken: dict[str, InstalledPackage] = {}
        pending = list(names)
        while pending:
            name = pending.pop()
            package = self.packages.get(name)
            if package is None:
                package = self.packages[self._provider(name)]
            if package.name in taken:
                continue
            taken[package.name] = package
            for group in package.needs:
                chosen = next((name for name in group if name in self.packages or name in self._providers), None)
                if chosen is not None:
                    pending.append(chosen)
        return [taken[name] for name in sorted(taken)]

    def essential(self) -> list[str]:
        """Return the names of the essential packages."""
        return sorted(package.name for package in self.packages.values() if package.essential)

    def owner_of(self, *paths: str) -> str | None:
        """Return the package whose list has the first of these paths that any package has."""
        lines = [b"\n" + os.fsencode(path) + b"\n" for path in paths]
        owner = None
        for package in self.packages.values():
            content = b"\n" + self._list_of(package) + b"\n"
            for rank, line in enumerate(lines):
                if line in content:
                    owner = package.name
                    # Of the packages that follow, only an earlier path matters.
                    del lines[rank:]
                    break
        return owner

    def files(self, package: InstalledPackage) -> list[str]:
        """Return the paths of a package's files and directories, as dpkg lists them."""
        return self._list_of(package).decode("utf-8", "surrogateescape").splitlines()

    def info_files(self, package: InstalledPackage) -> list[str]:
        """Return the names of a package's files in dpkg's info folder."""
        prefix, names = package.info_name + ".", self._info_names
        return list(takewhile(lambda name: name.startswith(prefix), islice(names, bisect_left(names, prefix), None)))

    def diversions(self) -> list[Diversion]:
        """Return all diversions."""
        lines = self._lines("diversions")
        return [
            Diversion(path, moved, None if owner == ":" else owner)
            for path, moved, owner in zip(lines[::3], lines[1::3], lines[2::3], strict=False)
        ]

    def alternatives(self) -> Iterator[Alternative]:
        """Yield all alternatives, by name."""
        folder = f"{self.admin}/alternatives"
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            with open(f"{folder}/{name}", encoding="utf-8", errors="surrogateescape") as file:
                yield parse_alternative(name, file.read().splitlines())

    def triggers(self) -> dict[str, list[str]]:
        """Return the lines of each file in dpkg's triggers folder."""
        folder = f"{self.admin}/triggers"
        names = [name for name in sorted(os.listdir(folder)) if name != "Lock"] if os.path.isdir(folder) else []
        return {name: self._lines(f"triggers/{name}") for name in names}

    def _lines(self, name: str) -> list[str]:
        try:
            with open(f"{self.admin}/{name}", encoding="utf-8", errors="surrogateescape") as file:
                return file.read().splitlines()
        except FileNotFoundError:
            return []

    def _list_of(self, package: InstalledPackage) -> bytes:
        for name in (package.info_name, package.name):
            try:
                with open(f"{self.admin}/info/{name}.list", "rb") as file:
                    return file.read()
            except FileNotFoundError:
                continue
        return b""

    @cached_property
    def _info_names(self) -> list[str]:
        return sorted(os.listdir(f"{self.admin}/info"))

    def _provider(self, name: str) -> str:
        providers = self._providers.get(name)
        if not providers:
            raise NoSuchPackage(name, sorted(self.packages))
        return sorted(providers)[0]

    def _read_status(self) -> Iterator[InstalledPackage]:
        with open(f"{self.admin}/status", encoding="utf-8", errors="surrogateescape") as file:
            for stanza in checked_stanzas(file.read()):
                if stanza.fields.get("status", "").endswith(INSTALLED):
                    yield _package(stanza)


@fields
class BadDatabase(UsageError):
    """What dpkg says of this machine can't be read."""

    reason: str

    def text(self) -> tuple[str, str]:
        return f"dpkg's database on this machine is damaged: {self.reason}", "mend it first: dpkg --audit"


@fields
class NoSuchPackage(UsageError):
    """`host(...)` names something that this machine has neither as a package nor as a program."""

    name: str
    known: list[str]

    def text(self) -> tuple[str, str]:
        hint = did_you_mean(self.name, self.known, f"install it first: apt-get install {self.name}")
        return f"host({self.name}): this machine has no installed package or program of that name", hint


def parse_alternative(name: str, lines: list[str]) -> Alternative:
    """One file of dpkg's alternatives folder. Raises BadDatabase."""
    try:
        return _alternative(name, lines)
    except (IndexError, ValueError) as error:
        raise BadDatabase(f"the alternative '{name}' is cut short or damaged") from error


def _alternative(name: str, lines: list[str]) -> Alternative:
    link = lines[1]
    position = 2
    slaves = []
    while position < len(lines) and lines[position]:
        slaves.append((lines[position], lines[position + 1]))
        position += 2
    position += 1
    choices = []
    while position < len(lines) and lines[position]:
        path, priority = lines[position], int(lines[position + 1])
        own = lines[position + 2 : position + 2 + len(slaves)]
        choices.append((path, priority, tuple(own)))
        position += 2 + len(slaves)
    return Alternative(name, link, tuple(slaves), tuple(choices))


def _package(stanza: Stanza) -> InstalledPackage:
    """Return the package of a stanza of dpkg's status. Raises BadDatabase."""
    fields = stanza.fields
    name, architecture = fields.get("package", ""), fields.get("architecture", "all")
    # Both are parts of file names.
    if not _NAME.fullmatch(name):
        raise BadDatabase(f"'{name}' is not the name of a package")
    if not _NAME.fullmatch(architecture):
        raise BadDatabase(f"'{architecture}' is not an architecture")
    needs = [_names(group) for key in ("pre-depends", "depends") for group in fields.get(key, "").split(",") if group]
    return InstalledPackage(
        name=name,
        architecture=fields.get("architecture", ""),
        version=fields.get("version", ""),
        essential=fields.get("essential") == "yes",
        multi_arch_same=fields.get("multi-arch") == "same",
        stanza=stanza.text,
        provides=tuple(name for group in fields.get("provides", "").split(",") if group for name in _names(group)),
        needs=tuple(needs),
        conffiles=tuple(conffiles_of(fields, obsolete=False)),
    )


def _names(group: str) -> tuple[str, ...]:
    """Return the names in `a (>= 1) | b:any`: ("a", "b")."""
    matches = (re.match(r"\s*([a-z0-9][a-z0-9+.-]*)", alternative) for alternative in group.split("|"))
    return tuple(match[1] for match in matches if match)
